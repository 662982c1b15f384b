//! The algebra of union (I7), over random versions.

use std::collections::{BTreeMap, BTreeSet};

use syncline_core::merge::Strategy;

use super::{clean, each_seed};
use crate::random::Random;

const UNION: Strategy = Strategy::Union { key: None };

/// How records are written down.
#[derive(Clone, Copy, Debug)]
enum Form {
    Lines,
    Array,
    Pretty,
    Wrapped,
    Documents,
}

fn form(random: &mut Random) -> Form {
    [Form::Lines, Form::Array, Form::Pretty, Form::Wrapped, Form::Documents][random.below(5)]
}

/// Records as a document: a number is a line, or a record with that id.
fn write(form: Form, records: &[(u64, u64)]) -> String {
    let json: Vec<String> = records.iter().map(|(id, v)| format!("{{\"id\":{id},\"v\":{v}}}")).collect();
    match form {
        Form::Lines => records.iter().map(|(id, _)| format!("line {id}\n")).collect(),
        Form::Array => format!("[{}]", json.join(",")),
        Form::Pretty if json.is_empty() => "[]\n".to_owned(),
        Form::Pretty => format!("[\n  {}\n]\n", json.join(",\n  ")),
        Form::Wrapped => format!("{{\"m\":[{}]}}", json.join(",")),
        Form::Documents => json.iter().map(|record| format!("{record}\n")).collect(),
    }
}

/// Reads back what [`write`] wrote.
fn read(form: Form, text: &str) -> Vec<(u64, u64)> {
    let numbers: Vec<u64> = text
        .split(|letter: char| !letter.is_ascii_digit())
        .filter(|digits| !digits.is_empty())
        .map(|digits| digits.parse().unwrap())
        .collect();
    match form {
        Form::Lines => numbers.into_iter().map(|id| (id, 0)).collect(),
        _ => numbers.chunks(2).map(|pair| (pair[0], pair[1])).collect(),
    }
}

/// Records with distinct ids in any order; lines have no versions.
fn records(random: &mut Random, form: Form) -> Vec<(u64, u64)> {
    let mut ids = BTreeSet::new();
    let mut records = Vec::new();
    for _ in 0..random.below(7) {
        let id = random.below(12) as u64;
        if ids.insert(id) {
            let version = if matches!(form, Form::Lines) { 0 } else { random.below(3) as u64 };
            records.push((id, version));
        }
    }
    records
}

fn union(base: Option<&str>, one: &str, other: &str) -> String {
    clean(&UNION, base, one, other)
}

#[test]
fn union_is_commutative_and_idempotent() {
    each_seed("union_is_commutative_and_idempotent", |random| {
        let form = form(random);
        let [base, one, other] = std::array::from_fn(|_| write(form, &records(random, form)));
        let base = random.chance(60).then_some(base);
        let merged = union(base.as_deref(), &one, &other);
        assert_eq!(merged, union(base.as_deref(), &other, &one), "commutative\n{one}\n{other}");
        assert_eq!(union(base.as_deref(), &one, &one), one, "idempotent");
        assert_eq!(union(Some(&merged), &merged, &one), one, "what is agreed on has no say");
        if base.is_none() {
            let again = union(None, &merged, &one);
            let sorted = |text: &str| {
                let mut records = read(form, text);
                records.sort_unstable();
                records
            };
            assert_eq!(sorted(&again), sorted(&merged), "nothing comes in twice");
        }
    });
}

#[test]
fn union_is_associative_in_its_records() {
    each_seed("union_is_associative_in_its_records", |random| {
        let form = form(random);
        let [a, b, c] = std::array::from_fn(|_| write(form, &records(random, form)));
        let left = union(None, &union(None, &a, &b), &c);
        let right = union(None, &a, &union(None, &b, &c));
        let set = |text: &str| read(form, text).into_iter().collect::<BTreeSet<_>>();
        assert_eq!(set(&left), set(&right), "{a}\n{b}\n{c}");
    });
}

/// What each version added at the end of what they share comes in one order, whatever is united first.
#[test]
fn union_is_associative_to_the_byte_for_what_was_added() {
    each_seed("union_is_associative_to_the_byte_for_what_was_added", |random| {
        let form = form(random);
        let shared: Vec<(u64, u64)> = (0..random.below(4) as u64).map(|id| (id, 0)).collect();
        let base = random.chance(50).then(|| write(form, &shared));
        let mut free: Vec<u64> = (10..30).collect();
        let [a, b, c] = std::array::from_fn(|_| {
            let mut records = shared.clone();
            for _ in 0..random.below(5) {
                records.push((free.remove(random.below(free.len())), 0));
            }
            write(form, &records)
        });
        let base = base.as_deref();
        let left = union(base, &union(base, &a, &b), &c);
        let right = union(base, &a, &union(base, &b, &c));
        assert_eq!(left, right, "{base:?}\n{a}\n{b}\n{c}");
    });
}

#[test]
fn union_keeps_every_record_once_and_in_order() {
    each_seed("union_keeps_every_record_once_and_in_order", |random| {
        let form = form(random);
        // Versions that do not contradict each other in the order of what they share.
        let mut order: Vec<u64> = (0..14).collect();
        for at in (1..order.len()).rev() {
            order.swap(at, random.below(at + 1));
        }
        let [one, other] = std::array::from_fn(|_| -> Vec<(u64, u64)> {
            order.iter().filter(|_| random.chance(40)).map(|&id| (id, 0)).collect()
        });
        let text = union(None, &write(form, &one), &write(form, &other));
        assert_eq!(union(None, &text, &write(form, &one)), text, "what is in it changes nothing");
        let merged = read(form, &text);
        let all: BTreeSet<(u64, u64)> = one.iter().chain(&other).copied().collect();
        assert_eq!(merged.iter().copied().collect::<BTreeSet<_>>(), all);
        assert_eq!(merged.len(), all.len(), "once");
        for version in [&one, &other] {
            let kept: Vec<_> = merged.iter().filter(|record| version.contains(record)).copied().collect();
            assert_eq!(&kept, version, "the order of a version is kept");
        }
    });
}

/// With a base, against a model: removals of the unchanged hold, edits stay.
#[test]
fn union_follows_the_tombstones() {
    each_seed("union_follows_the_tombstones", |random| {
        let form = [Form::Array, Form::Pretty, Form::Wrapped, Form::Documents][random.below(4)];
        let base = records(random, form);
        let mut edited = || {
            let mut records = base.clone();
            for _ in 0..random.below(5) {
                let at = random.below(records.len() + 1);
                match random.below(3) {
                    0 if at < records.len() => drop(records.remove(at)),
                    1 if at < records.len() => records[at].1 = random.below(5) as u64,
                    _ => {
                        let id = random.below(20) as u64;
                        if records.iter().all(|record| record.0 != id) {
                            records.insert(at, (id, random.below(3) as u64));
                        }
                    }
                }
            }
            records
        };
        let (one, other) = (edited(), edited());
        let merged = read(form, &union(Some(&write(form, &base)), &write(form, &one), &write(form, &other)));
        let table = |records: &[(u64, u64)]| records.iter().copied().collect::<BTreeMap<u64, u64>>();
        let (base, one, other, merged) = (table(&base), table(&one), table(&other), table(&merged));
        for id in 0..20 {
            let [was, here, there, now] = [&base, &one, &other, &merged].map(|table| table.get(&id));
            match (here, there) {
                _ if here == there || there == was => assert_eq!(now, here, "record {id}"),
                _ if here == was => assert_eq!(now, there, "record {id}"),
                (Some(edit), None) | (None, Some(edit)) => {
                    assert_eq!(now, Some(edit), "an edit beats a removal")
                }
                _ => assert!(now == here || now == there, "record {id} is one of its versions"),
            }
        }
    });
}
