//! The gate for secrets under faults: whatever leaves was searched, and one path holds up no other.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use syncline_connect::layers::fault::{Call, Fault};
use syncline_connect::{Error, ErrorKind};
use syncline_core::{Direction, Policy, Side};
use syncline_engine::{Gates, RunResult, SecretScan};
use syncline_store::RunState;

use crate::world::{World, block_on, open_guard};

async fn searched() -> World {
    let mut policy = Policy::new(Direction::Bidirectional);
    policy.guard = open_guard();
    let mut world = World::new(policy).await;
    let secrets = SecretScan::new(vec!["password".into()], PathBuf::from("no-such-file"), "known".into());
    world.target.gates = Some(Arc::new(Gates { secrets: Some(Arc::new(secrets)), ..Gates::default() }));
    world
}

fn secret() -> String {
    ["password = \"", "letmein\""].concat()
}

fn names(world: &World, side: Side) -> Vec<String> {
    world.shape(side).into_keys().collect()
}

fn told(result: &RunResult) -> Vec<(&str, &str)> {
    result.problems.iter().map(|problem| (problem.path.as_str(), problem.code)).collect()
}

#[test]
fn what_cannot_be_searched_stays_and_the_rest_leaves() {
    block_on(async {
        let world = searched().await;
        for name in ["a.txt", "b.txt", "c.txt"] {
            world.sides.local.put(name, name, 1);
        }
        // It can be read again as soon as it was searched: that must not let it out.
        let failed = AtomicBool::new(false);
        let hook = Arc::new(move |call: &Call<'_>| match call {
            Call::Read(path) if path.as_str() == "b.txt" && !failed.swap(true, Ordering::Relaxed) => {
                Fault::Error(Error::new(ErrorKind::Io, "the disk is tired"))
            }
            _ => Fault::None,
        });
        let result = world.run_hooked(hook).await.unwrap().unwrap();
        assert_eq!(result.state, RunState::Partial);
        assert_eq!(told(&result).len(), 1, "{:?}", result.problems);
        assert_eq!(told(&result)[0].0, "b.txt");
        assert_eq!(names(&world, Side::Remote), ["a.txt", "c.txt"]);
        assert!(world.run().await.unwrap().is_success());
        assert_eq!(names(&world, Side::Remote), ["a.txt", "b.txt", "c.txt"]);
    });
}

#[test]
fn a_secret_that_is_written_after_the_search_does_not_leave() {
    block_on(async {
        let world = searched().await;
        world.sides.local.put("a.txt", "nothing", 1);
        let (local, written) = (world.sides.local.clone(), AtomicBool::new(false));
        let hook = Arc::new(move |call: &Call<'_>| {
            if matches!(call, Call::Apply(steps) if *steps > 0) && !written.swap(true, Ordering::Relaxed) {
                local.put("a.txt", secret(), 2);
            }
            Fault::None
        });
        let result = world.run_hooked(hook).await.unwrap().unwrap();
        assert_eq!(result.state, RunState::Halted, "{:?}", told(&result));
        assert_eq!(result.halts[0].code, "secret_found");
        assert!(!result.halts[0].message.contains("letmein"), "{}", result.halts[0].message);
        assert_eq!(names(&world, Side::Remote), Vec::<String>::new());
    });
}

#[test]
fn a_losing_version_with_a_secret_is_not_put_beside_the_other() {
    block_on(async {
        let world = searched().await;
        world.sides.local.put("a.txt", secret(), 1);
        world.sides.remote.put("a.txt", "theirs", 2);
        let result = world.run().await.unwrap();
        assert_eq!(result.halts[0].code, "secret_found", "{result:?}");
        assert_eq!(names(&world, Side::Remote), ["a.txt"]);
        // What is there already may be put beside what is ours.
        world.sides.local.put("a.txt", "ours", 3);
        world.sides.remote.put("a.txt", secret(), 4);
        assert_eq!(world.run().await.unwrap().halts, []);
        assert_eq!(world.shape(Side::Local), world.shape(Side::Remote));
    });
}
