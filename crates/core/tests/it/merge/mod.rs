//! Merging policies: tables, properties over random versions, and Git beside them.

mod json;
mod json_properties;
mod kind;
mod markers;
mod text;
mod union;
mod union_properties;

use syncline_core::merge::{Input, Labels, Merged, Strategy, Unclean, merge};

use crate::random::{Random, seeds};

/// Random merges in an ordinary test run; the soak run sets `SYNCLINE_CASES`.
const CASES: u64 = 2_000;

fn input<'a>(base: Option<&'a str>, local: &'a str, remote: &'a str) -> Input<'a> {
    Input { base: base.map(str::as_bytes), local: local.as_bytes(), remote: remote.as_bytes() }
}

fn run(strategy: &Strategy, input: &Input<'_>) -> Merged {
    merge(strategy, input, &Labels::default())
}

/// The clean result as text; fails when there is none.
#[track_caller]
fn clean(strategy: &Strategy, base: Option<&str>, local: &str, remote: &str) -> String {
    match run(strategy, &input(base, local, remote)) {
        Merged::Clean { bytes, .. } => String::from_utf8(bytes).unwrap(),
        other => panic!("not clean: {other:?}\nbase {base:?}\nlocal {local:?}\nremote {remote:?}"),
    }
}

#[track_caller]
fn unclean(strategy: &Strategy, base: Option<&str>, local: &str, remote: &str) -> Unclean {
    match run(strategy, &input(base, local, remote)) {
        Merged::Unclean(unclean) => unclean,
        other => panic!("expected a refusal, got {other:?}"),
    }
}

/// Runs a property over the seeds; a failing seed is named with the command that runs it alone.
fn each_seed(property: &str, check: impl Fn(&mut Random) + std::panic::RefUnwindSafe) {
    for seed in seeds("SYNCLINE_CASES", CASES) {
        let result = std::panic::catch_unwind(|| check(&mut Random(seed)));
        assert!(
            result.is_ok(),
            "seed {seed} failed; replay: SYNCLINE_SEED={seed} cargo test -p syncline-core --test it {property}"
        );
    }
}

/// Lines from a small alphabet, so that versions have much in common; some hostile ones are among them.
fn random_text(random: &mut Random) -> String {
    let count = random.below(12);
    let mut text: String = (0..count).map(|_| random_line(random)).collect();
    if random.chance(20) {
        text.pop();
    }
    text
}

fn random_line(random: &mut Random) -> String {
    let words = [
        "a",
        "b",
        "c",
        "d",
        "e",
        "",
        "  x",
        "<<<<<<< y",
        "=======",
        ">>>>>>> z",
        "|||||||| q",
        "{",
        "}",
        "ü",
    ];
    let common = if random.chance(90) { 7 } else { words.len() };
    let line_break = if random.chance(95) { "\n" } else { "\r\n" };
    format!("{}{line_break}", words[random.below(common)])
}

/// `text` with a few lines added, removed or replaced.
fn random_edit(random: &mut Random, text: &str) -> String {
    let mut lines: Vec<String> = text.split_inclusive('\n').map(str::to_owned).collect();
    for _ in 0..random.below(4) {
        let at = random.below(lines.len() + 1);
        match random.below(3) {
            0 => lines.insert(at, random_line(random)),
            1 if at < lines.len() => drop(lines.remove(at)),
            _ if at < lines.len() => lines[at] = random_line(random),
            _ => {}
        }
    }
    lines.concat()
}

fn random_versions(random: &mut Random) -> (String, String, String) {
    let base = random_text(random);
    let local = random_edit(random, &base);
    let remote = random_edit(random, &base);
    (base, local, remote)
}
