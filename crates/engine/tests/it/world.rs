//! A simulated workspace: two memory endpoints, state in memory, a clock that ticks when it is asked.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use syncline_connect::Endpoint;
use syncline_connect::layers::fault::{Call, Fault, FaultLayer, Hook};
use syncline_connect::memory::{MemoryEndpoint, Tokens};
use syncline_core::{
    Abilities, Choices, Digest, Direction, Filter, Guard, Merging, Policy, Resolution, Rule, Side, Sides,
};
use syncline_engine::{Clock, Context, Options, Result, RunResult, Target, run};
use syncline_store::Store;
use tokio::sync::Notify;

use crate::random::Random;

/// A clock that ticks whenever it is asked, so that a run is the same every time.
#[derive(Default)]
pub struct Ticks(AtomicI64);

impl Clock for Ticks {
    fn now(&self) -> i64 {
        1_000_000_000_000 + self.0.fetch_add(1, Ordering::Relaxed)
    }

    fn identifier(&self) -> String {
        format!("run-{:08}", self.0.fetch_add(1, Ordering::Relaxed))
    }
}

pub struct World {
    pub sides: Sides<MemoryEndpoint>,
    pub context: Context,
    pub target: Target,
    /// Numbers contents, so that each is told from all others.
    pub written: u64,
}

pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(future)
}

impl World {
    pub async fn new(policy: Policy) -> Self {
        let sides =
            Sides::from_fn(|side| MemoryEndpoint::new(side.name(), policy.abilities[side], Tokens::Counter));
        let context = Context {
            store: Store::in_memory().await.unwrap(),
            clock: Arc::new(Ticks::default()),
            events: Arc::new(()),
            workers: 0,
            holder: "simulation".into(),
            turns: None,
        };
        let target = Target {
            name: "t".into(),
            endpoints: Sides::from_fn(|side| Arc::new(sides[side].clone()) as Arc<dyn Endpoint>),
            filter: Arc::new(Filter::default()),
            policy: Policy { target: "t".into(), ..policy },
            gates: None,
            windows: Vec::new(),
        };
        Self { sides, context, target, written: 0 }
    }

    pub async fn run(&self) -> Result<RunResult> {
        run(&self.context, &self.target, &Options::default()).await
    }

    pub async fn run_with(&self, choices: Choices) -> Result<RunResult> {
        run(&self.context, &self.target, &Options { choices, ..Options::default() }).await
    }

    /// Runs with `hook` deciding what goes wrong; `None` when the hook made the program die.
    pub async fn run_hooked(&self, hook: Hook) -> Option<Result<RunResult>> {
        let died = Arc::new(Notify::new());
        let signal = Arc::clone(&died);
        let hook: Hook = Arc::new(move |call: &Call<'_>| {
            let fault = hook(call);
            if matches!(fault, Fault::Crash) {
                signal.notify_one();
            }
            fault
        });
        let mut target = self.target.clone();
        for side in Side::BOTH {
            self.sides[side].set_hook(Arc::clone(&hook));
            let inner = Arc::new(self.sides[side].clone()) as Arc<dyn Endpoint>;
            target.endpoints[side] = Arc::new(FaultLayer::new(inner, Arc::clone(&hook)));
        }
        let options = Options::default();
        let ended = tokio::select! {
            biased;
            result = run(&self.context, &target, &options) => Some(result),
            () = died.notified() => None,
        };
        for side in Side::BOTH {
            self.sides[side].set_hook(Arc::new(|_: &Call<'_>| Fault::None));
        }
        ended
    }

    /// The digests of all contents on both sides.
    pub fn contents(&self) -> BTreeSet<Digest> {
        Side::BOTH.iter().flat_map(|&side| self.contents_of(side)).collect()
    }

    pub fn contents_of(&self, side: Side) -> BTreeSet<Digest> {
        let tree = self.sides[side].tree();
        tree.values().filter(|item| !item.kind.is_directory()).map(|item| Digest::of(&item.bytes)).collect()
    }

    /// What a side holds of what both sides keep.
    pub fn agreeable(&self, side: Side) -> BTreeMap<String, String> {
        let directories = Side::BOTH.iter().all(|&side| self.target.policy.abilities[side].directories);
        let tree = self.sides[side].tree();
        let mut shape = self.shape(side);
        shape.retain(|path, _| directories || !tree[path].kind.is_directory());
        shape
    }

    /// What a side holds, as text to compare and to show.
    pub fn shape(&self, side: Side) -> BTreeMap<String, String> {
        self.sides[side]
            .tree()
            .into_iter()
            .map(|(path, item)| (path, format!("{:?} {}", item.kind, String::from_utf8_lossy(&item.bytes))))
            .collect()
    }

    pub fn show(&self) -> String {
        Side::BOTH.iter().map(|&side| format!("{side}: {:#?}\n", self.shape(side))).collect()
    }

    /// Every content is on a side or in history.
    pub fn assert_nothing_lost(&self, before: &BTreeSet<Digest>, what: &str) {
        let live = self.contents();
        for digest in before {
            let kept = live.contains(digest) || self.context.store.objects().contains(digest);
            assert!(kept, "I2: {digest:?} is lost {what}\n{}", self.show());
        }
    }

    /// A text that was never written before.
    pub fn fresh_text(&mut self, random: &mut Random) -> String {
        self.written += 1;
        // Some contents repeat: renames and equal files must be told apart by more than content.
        if random.chance(15) {
            format!("common {}", random.below(3))
        } else if random.chance(40) {
            // Long enough for edits of both sides to be merged.
            (0..12).map(|line| format!("line {line} of {}\n", self.written)).collect()
        } else {
            format!("text {}", self.written)
        }
    }

    /// Changes one side as a user would.
    pub fn edit(&mut self, random: &mut Random, side: Side, count: usize) {
        const NAMES: [&str; 5] = ["a", "b", "c", "D.txt", "d.txt"];
        for _ in 0..count {
            let depth = 1 + random.below(3);
            let target: Vec<&str> = (0..depth).map(|_| NAMES[random.below(5)]).collect();
            let target = target.join("/");
            let existing: Vec<String> = self.sides[side].tree().into_keys().collect();
            let text = self.fresh_text(random);
            let modified = self.written as i64 * 1_000_000_000;
            let endpoint = &self.sides[side];
            let folds = self.target.policy.abilities[side].folds_case;
            let target = if folds { spelled_as_there(endpoint, &target) } else { target };
            make_way(endpoint, &target);
            let existing: Vec<String> =
                existing.into_iter().filter(|path| endpoint.tree().contains_key(path)).collect();
            match (random.below(10), random.pick(&existing)) {
                (0..=2, _) => endpoint.put(&target, text, modified),
                (3, _) => match random.below(3) {
                    0 => endpoint.put_symlink(&target, &text, modified),
                    1 => endpoint.put_executable(&target, text, modified),
                    _ if self.target.policy.abilities[side].directories => endpoint.put_dir(&target),
                    _ => {}
                },
                (4..=5, Some(path)) if !endpoint.tree()[path].kind.is_directory() => {
                    let old = endpoint.get(path).unwrap_or_default();
                    endpoint.put(path, edited(random, &old, text), modified);
                }
                (6..=7, Some(path)) => {
                    endpoint.remove(path);
                }
                (_, Some(path)) => {
                    let to = if random.chance(50) { target } else { format!("moved-{}", random.below(3)) };
                    let to = if folds { spelled_as_there(endpoint, &to) } else { to };
                    let inside = to.starts_with(&format!("{path}/")) || path.starts_with(&format!("{to}/"));
                    let keeps = self.target.policy.abilities[side].directories;
                    let below_file = to.rsplit_once('/').is_some_and(|(parent, _)| {
                        endpoint.tree().get(parent).map_or(keeps, |item| !item.kind.is_directory())
                    });
                    if to != *path && !inside && !below_file && !is_there(endpoint, &to) {
                        endpoint.rename(path, &to);
                    }
                }
                _ => endpoint.put(&target, text, modified),
            }
        }
    }
}

/// What somebody makes of a content: another one, or one with a line changed where there are many.
fn edited(random: &mut Random, old: &[u8], text: String) -> String {
    let old = String::from_utf8_lossy(old).into_owned();
    let mut lines: Vec<&str> = old.lines().collect();
    if lines.len() < 4 || random.chance(20) {
        return text;
    }
    let at = random.below(lines.len());
    lines[at] = text.lines().next().unwrap_or_default();
    lines.join("\n") + "\n"
}

/// The path as a case-folding file system would resolve it: names that are there keep their spelling.
fn spelled_as_there(endpoint: &MemoryEndpoint, path: &str) -> String {
    let tree = endpoint.tree();
    let mut spelled = String::new();
    for name in path.split('/') {
        let wanted = if spelled.is_empty() { name.to_owned() } else { format!("{spelled}/{name}") };
        let there = tree.keys().find(|other| other.to_lowercase() == wanted.to_lowercase());
        spelled = there.cloned().unwrap_or(wanted);
    }
    spelled
}

/// Removes what keeps a file from being put at a path: files where directories are needed, a directory there.
pub fn make_way(endpoint: &MemoryEndpoint, path: &str) {
    for (end, _) in path.match_indices('/') {
        if endpoint.tree().get(&path[..end]).is_some_and(|item| !item.kind.is_directory()) {
            endpoint.remove(&path[..end]);
        }
    }
    let below = format!("{path}/");
    let holds = endpoint.tree().keys().any(|other| other.starts_with(&below));
    if holds || endpoint.tree().get(path).is_some_and(|item| item.kind.is_directory()) {
        endpoint.remove(path);
    }
}

/// Whether there is an item at a path, or below it.
fn is_there(endpoint: &MemoryEndpoint, path: &str) -> bool {
    let below = format!("{path}/");
    endpoint.tree().keys().any(|other| other == path || other.starts_with(&below))
}

pub fn open_guard() -> Guard {
    Guard { deletes_max_percent: 100, deletes_max: u64::MAX, sentinel: None }
}

pub fn random_policy(random: &mut Random) -> Policy {
    let directions = [Direction::Bidirectional, Direction::Bidirectional, Direction::Pull, Direction::Push];
    let mut policy = Policy::new(directions[random.below(4)]);
    policy.guard = open_guard();
    let resolutions = [
        Resolution::KeepBoth,
        Resolution::KeepBoth,
        Resolution::Newest,
        Resolution::Prefer(Side::Local),
        Resolution::Manual,
        Resolution::Merge(Merging::Auto),
        Resolution::Merge(Merging::Markers),
        Resolution::Merge(Merging::Union { key: None }),
    ];
    policy.rules = vec![
        Rule::new("a/**", resolutions[random.below(8)].clone()).unwrap(),
        Rule::new("**", resolutions[random.below(8)].clone()).unwrap(),
    ];
    let folds = random.chance(15);
    for side in Side::BOTH {
        policy.abilities[side] = Abilities {
            directory_moves: random.chance(70),
            moves: random.chance(90),
            executable: random.chance(85),
            folds_case: side == Side::Remote && folds,
            ..Abilities::default()
        };
    }
    if random.chance(25) {
        let files_only = &mut policy.abilities[Side::BOTH[random.below(2)]];
        // No endpoint is known that keeps no directories and folds names.
        (files_only.directories, files_only.directory_moves, files_only.folds_case) = (false, false, false);
    }
    policy
}
