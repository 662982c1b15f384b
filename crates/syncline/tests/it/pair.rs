//! Two workspaces and one bare repository, an hour of random edits on both compressed: runs in any order, some of them
//! killed, persons who commit and pull in between; at the end both are equal, and nothing that ever was is lost.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use crate::random::{Random, seeds};
use crate::upstream::support::{Node, Pair};

/// How many things happen in one case.
const EVENTS: usize = 24;

const RULES: &str = "conflicts:\n  - { match: \"*.json\", policy: json }\n  - { match: \"*.log\", policy: union }\n  \
                     - { match: \"**\", policy: merge }\nguard: { deletes_max_percent: 100 }";

struct Case {
    pair: Pair,
    random: Random,
    /// Makes every text that is written another one.
    count: usize,
    /// Every content that was there when a run began.
    seen: BTreeMap<String, String>,
    told: Vec<String>,
}

impl Case {
    fn new(seed: u64) -> Self {
        Self {
            pair: Pair::new(RULES),
            random: Random(seed),
            count: 0,
            seen: BTreeMap::new(),
            told: Vec::new(),
        }
    }

    fn edit(&mut self, first: bool) {
        let node = if first { &self.pair.one } else { &self.pair.two };
        let files = node.files();
        self.count += 1;
        let (count, place) = (self.count, self.random.below(3));
        let new = ["notes/a.md", "notes/b.md", "c.txt", "data/d.json", "data/e.json", "f.log", "g.bin"];
        let path = match self.random.pick(&files) {
            Some(path) if self.random.chance(50) => path.clone(),
            _ => new[self.random.below(new.len())].to_owned(),
        };
        let there = node.read(&path);
        self.told.push(format!("{} edits {path} ({count})", if first { "one" } else { "two" }));
        match (self.random.below(10), there) {
            (0, Some(_)) => node.remove(&path),
            (1, Some(_)) => {
                let to = node.path(&format!("moved/{count}-{}", path.replace('/', "-")));
                fs::create_dir_all(to.parent().unwrap()).unwrap();
                fs::rename(node.path(&path), to).unwrap();
            }
            (_, there) => node.write(&path, &edited(&path, there.as_deref(), count, place)),
        }
    }

    fn there(&self, first: bool) -> BTreeMap<String, String> {
        let node = if first { &self.pair.one } else { &self.pair.two };
        node.files().into_iter().map(|path| (node.read(&path).unwrap(), path)).collect()
    }

    /// Remembers what is there now, which a run is going to see.
    fn look(&mut self, first: bool) {
        let there = self.there(first);
        self.seen.extend(there);
    }

    fn run(&mut self, first: bool) {
        let before = self.there(first);
        let kill = self.random.chance(30).then(|| self.random.below(60) + 1);
        let node = if first { &self.pair.one } else { &self.pair.two };
        self.told.push(format!("{} runs, killed at {kill:?}", if first { "one" } else { "two" }));
        let Some(at) = kill else {
            let ran = node.run(&["run"]);
            assert!(matches!(ran.code, 0 | 5), "{:#?}\n{}{}", self.told, ran.out, ran.err);
            self.seen.extend(before);
            return;
        };
        let count = self.pair.path("count");
        let _ = fs::remove_file(&count);
        let script = format!(
            "echo >> '{0}'\nif [ $(wc -l < '{0}') = {at} ]; then kill -9 $PPID; exit 1; fi",
            count.display()
        );
        node.command_with_git(&script, "", &["run"]).output().unwrap();
        // What it has not taken away is still the person's to overwrite.
        let after = self.there(first);
        self.seen.extend(before.into_iter().filter(|(text, _)| !after.contains_key(text)));
    }

    /// A person does something with Git.
    fn person(&mut self, first: bool) {
        let what = self.random.below(3);
        if what == 0 {
            self.look(first);
        }
        let node = if first { &self.pair.one } else { &self.pair.two };
        self.told.push(format!("the person of {first} does {what}"));
        match what {
            0 if !node.status().is_empty() => node.commit("by hand"),
            1 => {
                // Like any person, with whatever comes of it: a pull that is refused changes nothing.
                let _ = crate::upstream::support::try_git(&node.folder(), &["pull", "--ff-only", "--quiet"]);
            }
            _ => {
                let _ = crate::upstream::support::try_git(&node.folder(), &["add", "--all"]);
            }
        }
    }

    fn settle(&mut self) {
        for round in 0..8 {
            let mut idle = true;
            for first in [true, false] {
                self.look(first);
                let node = if first { &self.pair.one } else { &self.pair.two };
                let ran = node.run(&["run", "--format", "json"]);
                assert!(matches!(ran.code, 0 | 5), "{:#?}\n{}{}", self.told, ran.out, ran.err);
                idle &= ran.out.contains("\"nothing to do\"");
            }
            if idle && round > 0 {
                return;
            }
        }
        panic!("they do not come to rest: {:#?}", self.told);
    }

    fn check(&self) {
        let (one, two) = (&self.pair.one, &self.pair.two);
        let held = |node: &Node| -> BTreeMap<String, String> {
            node.files().into_iter().map(|path| (path.clone(), node.read(&path).unwrap())).collect()
        };
        assert_eq!(held(one), held(two), "{:#?}", self.told);
        assert_eq!(self.pair.listed().len(), held(one).len(), "{:#?}", self.told);
        for (path, text) in held(one) {
            assert_eq!(self.pair.at_hub(&path), text, "{:#?}", self.told);
        }
        for node in [one, two] {
            assert_eq!(node.head(), self.pair.tip(), "{:#?}", self.told);
            // A file that a person staged as new and removed before any run is theirs to unstage.
            let status = node.status();
            assert!(status.lines().all(|line| line.starts_with("AD ")), "{status}{:#?}", self.told);
            node.expect(0, &["scrub"]);
        }
        let reachable = self.reachable();
        for (text, path) in &self.seen {
            let digest = blake3::hash(text.as_bytes()).to_hex().to_string();
            let kept = [one, two].iter().any(|node| {
                let file = node.path(".syncline/objects").join(&digest[..2]).join(&digest[2..]);
                file.exists() || file.with_extension("zst").exists()
            });
            assert!(kept || reachable.contains(text), "{path} {text:?} is lost: {:#?}", self.told);
        }
    }

    /// The content of every file of every commit of the branch.
    fn reachable(&self) -> BTreeSet<String> {
        let listed = self.pair.hub(&["rev-list", "--objects", "main"]);
        let objects = listed.lines().filter_map(|line| line.split_once(' ')).map(|(object, _)| object);
        let blobs = objects.filter(|object| self.pair.hub(&["cat-file", "-t", object]).trim() == "blob");
        blobs.map(|object| self.pair.hub(&["cat-file", "blob", object])).collect()
    }
}

/// What a person makes of a file.
fn edited(path: &str, there: Option<&str>, count: usize, place: usize) -> String {
    if path.ends_with(".json") {
        let text = there.unwrap_or("{}");
        let mut value: serde_json::Value =
            serde_json::from_str(text).unwrap_or_else(|_| serde_json::json!({}));
        if let Some(object) = value.as_object_mut() {
            object.insert(format!("key{place}"), count.into());
        }
        return serde_json::to_string_pretty(&value).unwrap() + "\n";
    }
    if path.ends_with(".log") {
        return format!("{}entry {count}\n", there.unwrap_or_default());
    }
    let mut lines: Vec<String> =
        there.unwrap_or("top\n\n\nmiddle\n\n\nend\n").lines().map(str::to_owned).collect();
    let at = (place * 3).min(lines.len());
    lines.insert(at, format!("line {count} of {path}"));
    lines.join("\n") + "\n"
}

fn an_hour(seed: u64) {
    let mut case = Case::new(seed);
    for _ in 0..EVENTS {
        let first = case.random.chance(50);
        match case.random.below(10) {
            0..=4 => case.edit(first),
            5..=8 => case.run(first),
            _ => case.person(first),
        }
    }
    case.settle();
    case.check();
}

#[test]
fn an_hour_of_edits_on_both_ends_equal_and_loses_nothing() {
    for seed in seeds("SYNCLINE_PAIR_CASES", 4) {
        println!("SYNCLINE_SEED={seed}");
        an_hour(seed);
    }
}
