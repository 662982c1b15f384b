//! Sequences of runs against a model in memory.

use proptest::prelude::*;
use syncline_core::{Baseline, Digest, Entry, ItemPath, Kind, MemoryBaseline, Side};
use syncline_store::{Delta, Lost, Store};

use crate::helpers::{acquire, assert_same, created, directory, entry, finish, path, run, start};

/// What happens to the store.
#[derive(Clone, Debug)]
enum Event {
    /// A run with these batches of changes; `None` removes.
    Run(Vec<Vec<(String, Option<u64>)>>),
    /// A run that creates many items in one directory, which leads to a new base.
    Bulk(String, u64),
    /// A run that is cut short after its batches, and the recovery from it.
    CutShort(Vec<Vec<(String, Option<u64>)>>),
    Reopen,
}

fn any_path() -> impl Strategy<Value = String> {
    prop::collection::vec(
        prop::sample::select(vec!["a", "b", "a-b", "a.b", "Z", "é", "long name", "~"]),
        1..4,
    )
    .prop_map(|names| names.join("/"))
}

fn batches() -> impl Strategy<Value = Vec<Vec<(String, Option<u64>)>>> {
    let change = (any_path(), prop::option::weighted(0.7, 0_u64..50));
    prop::collection::vec(prop::collection::vec(change, 0..12), 0..5)
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        10 => batches().prop_map(Event::Run),
        1 => (any_path(), 4000_u64..4400).prop_map(|(path, count)| Event::Bulk(path, count)),
        2 => batches().prop_map(Event::CutShort),
        2 => Just(Event::Reopen),
    ]
}

fn delta(model: &MemoryBaseline, text: &str, seed: Option<u64>) -> Delta {
    let path = path(text);
    let before = model.get(&path).unwrap();
    let after = seed.map(|seed| if seed == 0 { directory() } else { entry(seed) });
    let lost = seed.filter(|seed| seed.is_multiple_of(3)).map(|seed| Lost {
        side: if seed.is_multiple_of(2) { Side::Local } else { Side::Remote },
        kind: Kind::Symlink,
        digest: Digest::of(text.as_bytes()),
        size: seed,
    });
    Delta { path, before, after, lost: lost.into_iter().collect() }
}

struct Scene {
    folder: Option<tempfile::TempDir>,
    store: Store,
    model: MemoryBaseline,
    runs: u32,
    /// What each run is expected to have changed.
    history: Vec<(String, Vec<Delta>)>,
}

impl Scene {
    async fn new(on_disk: bool) -> Self {
        let folder = on_disk.then(|| tempfile::tempdir().unwrap());
        let store = match &folder {
            Some(folder) => Store::open(&folder.path().join("state")).await.unwrap(),
            None => Store::in_memory().await.unwrap(),
        };
        Self { folder, store, model: MemoryBaseline::default(), runs: 0, history: Vec::new() }
    }

    async fn reopen(&mut self) {
        if let Some(folder) = &self.folder {
            self.store = Store::open(&folder.path().join("state")).await.unwrap();
        }
    }

    async fn append(&mut self, batches: &[Vec<(String, Option<u64>)>]) -> String {
        let lease = acquire(&self.store, "t").await;
        self.runs += 1;
        let id = format!("run-{}", self.runs);
        self.store.begin_run(&lease, &start(&id, "t")).await.unwrap();
        let mut changed: std::collections::BTreeMap<ItemPath, Delta> = Default::default();
        for batch in batches {
            let mut deltas: Vec<Delta> = Vec::new();
            for (text, seed) in batch {
                let delta = delta(&self.model, text, *seed);
                self.model.set(&delta.path, delta.after.clone());
                changed
                    .entry(delta.path.clone())
                    .and_modify(|known| {
                        known.after.clone_from(&delta.after);
                        known.lost.extend(&delta.lost);
                    })
                    .or_insert_with(|| delta.clone());
                deltas.push(delta);
            }
            self.store.append(&lease, &id, &deltas).await.unwrap();
        }
        self.history.push((id.clone(), changed.into_values().collect()));
        id
    }

    async fn play(&mut self, event: &Event) {
        match event {
            Event::Reopen => self.reopen().await,
            Event::Run(batches) => {
                let id = self.append(batches).await;
                let lease = acquire(&self.store, "t").await;
                self.store.finish_run(&lease, &id, &finish(), None).await.unwrap();
            }
            Event::Bulk(parent, count) => {
                let batch = (0..*count).map(|n| (format!("{parent}/{n:05}"), Some(n + 1))).collect();
                Box::pin(self.bulk(batch)).await;
            }
            Event::CutShort(batches) => {
                let id = self.append(batches).await;
                self.reopen().await;
                let lease = acquire(&self.store, "t").await;
                assert_eq!(self.store.recover(&lease, 5).await.unwrap(), [id]);
            }
        }
    }

    async fn bulk(&mut self, batch: Vec<(String, Option<u64>)>) {
        let lease = acquire(&self.store, "t").await;
        self.runs += 1;
        let id = format!("run-{}", self.runs);
        let mut deltas = Vec::new();
        for (text, seed) in batch {
            let mut delta = created(&text, seed.unwrap_or(1));
            delta.before = self.model.get(&delta.path).unwrap();
            self.model.set(&delta.path, delta.after.clone());
            deltas.push(delta);
        }
        run(&self.store, &lease, &id, &deltas).await;
        self.history.push((id, deltas));
    }

    async fn check(&self) {
        let state = self.store.target("t").await.unwrap();
        assert_same(&*self.store.baseline(&state).await.unwrap(), &self.model);
        for (id, deltas) in &self.history {
            assert_eq!(&self.store.deltas(id).await.unwrap(), deltas);
        }
        let found = self.store.check().await.unwrap();
        assert!(found.is_empty(), "{found:?}");
    }
}

fn play(on_disk: bool, events: &[Event]) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut scene = Scene::new(on_disk).await;
        for event in events {
            scene.play(event).await;
            let state = scene.store.target("t").await.unwrap();
            assert_same(&*scene.store.baseline(&state).await.unwrap(), &scene.model);
        }
        scene.check().await;
        scene.reopen().await;
        scene.check().await;
    });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    #[test]
    fn runs_on_disk_agree_with_the_model(events in prop::collection::vec(event(), 1..14)) {
        play(true, &events);
    }

    #[test]
    fn runs_in_memory_agree_with_the_model(events in prop::collection::vec(event(), 1..14)) {
        play(false, &events);
    }
}

#[tokio::test]
async fn many_small_runs_keep_the_layers_few() {
    let mut scene = Scene::new(true).await;
    for n in 0..100_u64 {
        let batch = vec![(format!("d{}/f{}", n % 5, n % 17), (n % 4 != 3).then_some(n + 1))];
        scene.play(&Event::Run(vec![batch])).await;
        if n % 33 == 0 {
            scene.reopen().await;
        }
    }
    scene.check().await;
    // One delta for each run, one lean layer; the lean ones before it are gone.
    assert_eq!(scene.store.objects().total().unwrap().count, 101);
}

#[tokio::test]
async fn a_run_of_many_appends_ends_with_one_delta() {
    let mut scene = Scene::new(true).await;
    let batches: Vec<_> = (0..200_u64).map(|n| vec![(format!("d/{}", n % 150), Some(n + 1))]).collect();
    scene.play(&Event::Run(batches)).await;
    let run = scene.store.run("last").await.unwrap().unwrap();
    assert!(run.deltas.len() <= 64, "{}", run.deltas.len());
    scene.check().await;
    assert_eq!(scene.store.objects().total().unwrap().count as usize, run.deltas.len());
}

#[tokio::test]
async fn entries_of_every_kind_survive() {
    let scene = Scene::new(true).await;
    let lease = acquire(&scene.store, "t").await;
    let mut model = MemoryBaseline::default();
    let kinds = [Kind::FILE, Kind::File { executable: true }, Kind::Directory, Kind::Symlink];
    let mut deltas = Vec::new();
    for (n, kind) in kinds.into_iter().enumerate() {
        for size in [0, 1, 127, 128, u64::MAX] {
            let name = format!("{}{n}-{size}", "x".repeat(200));
            let after = Some(Entry { kind, size, ..entry(size / 31) });
            model.set(&path(&name), after.clone());
            deltas.push(Delta { path: path(&name), before: None, after, lost: Vec::new() });
        }
    }
    run(&scene.store, &lease, "r", &deltas).await;
    let state = scene.store.target("t").await.unwrap();
    assert_same(&*scene.store.baseline(&state).await.unwrap(), &model);
}
