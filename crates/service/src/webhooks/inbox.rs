//! Recording deliveries: those that come at the same time are one transaction, so that a storm costs little.

use std::sync::{Mutex, PoisonError};

use syncline_store::{Arrival, Delivery};
use tokio::sync::{Mutex as Turn, oneshot};

use crate::problem::{Class, Problem, Result};
use crate::service::Service;

/// Deliveries that wait to be recorded; how many is bounded by the connections that brought them.
#[derive(Default)]
pub(crate) struct Inbox {
    waiting: Mutex<Vec<Waiting>>,
    turn: Turn<()>,
}

type Waiting = (Delivery, oneshot::Sender<Result<Arrival>>);

impl Inbox {
    /// Records a delivery, together with all that wait.
    pub(super) async fn record(&self, service: &Service, delivery: Delivery) -> Result<Arrival> {
        let (tell, told) = oneshot::channel();
        self.lock().push((delivery, tell));
        {
            let _turn = self.turn.lock().await;
            // Whoever had the turn before may have recorded this one as well.
            let batch = std::mem::take(&mut *self.lock());
            if !batch.is_empty() {
                record_all(service, batch).await;
            }
        }
        told.await.unwrap_or_else(|_| {
            Err(Problem::new(Class::Unavailable, "not_recorded", "the delivery could not be recorded"))
        })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn record_all(service: &Service, batch: Vec<Waiting>) {
    let (deliveries, tellers): (Vec<Delivery>, Vec<_>) = batch.into_iter().unzip();
    let recorded = async {
        let store = service.stored().await?;
        Ok::<_, Problem>(store.deliver(&deliveries, service.clock().now()).await?)
    };
    match recorded.await {
        Ok(arrivals) => {
            if arrivals.contains(&Arrival::New) {
                service.arrivals().notify_one();
            }
            for (tell, arrival) in tellers.into_iter().zip(arrivals) {
                // Nobody waiting any more is no reason to stop.
                let _ = tell.send(Ok(arrival));
            }
        }
        Err(problem) => {
            for tell in tellers {
                let _ = tell.send(Err(problem.clone()));
            }
        }
    }
}
