//! Structural JSON, by properties over random documents. The model here is a tree of its own, compared with what the
//! merged text says.

use std::collections::BTreeMap;

use syncline_core::merge::{Merged, Strategy, Unclean};

use super::{clean, each_seed, input, run};
use crate::random::Random;

const JSON: Strategy = Strategy::Json { key: None };

/// A document: members by path. Leaves are scalars; `id` paths stand for records.
#[derive(Clone, Debug, PartialEq)]
enum Tree {
    Leaf(String),
    Object(BTreeMap<String, Tree>),
    Records(BTreeMap<String, Tree>),
}

fn tree(random: &mut Random, depth: usize) -> Tree {
    let children = |random: &mut Random| -> BTreeMap<String, Tree> {
        let count = random.below(4);
        (0..count).map(|_| (name(random), tree(random, depth + 1))).collect()
    };
    match random.below(if depth > 3 { 1 } else { 4 }) {
        0 => Tree::Leaf(leaf(random)),
        3 => {
            let mut records = children(random);
            records.values_mut().for_each(|record| {
                if !matches!(record, Tree::Object(_)) {
                    *record = Tree::Object(BTreeMap::new());
                }
            });
            Tree::Records(records)
        }
        _ => Tree::Object(children(random)),
    }
}

fn name(random: &mut Random) -> String {
    ["a", "b", "c", "d", "e/f", "g~"][random.below(6)].to_owned()
}

fn leaf(random: &mut Random) -> String {
    let leaves =
        ["1", "1.0", "1e400", "12345678901234567890", "null", "true", "\"x\"", "\"\\u00e9\\n\"", "-0"];
    leaves[random.below(leaves.len())].to_owned()
}

fn edit(random: &mut Random, tree: &mut Tree, depth: usize) {
    let records = matches!(tree, Tree::Records(_));
    match tree {
        Tree::Leaf(text) => *text = leaf(random),
        Tree::Object(children) | Tree::Records(children) => {
            let names: Vec<String> = children.keys().cloned().collect();
            let fresh = if records { Tree::Object(BTreeMap::new()) } else { super_tree(random, depth) };
            match (random.pick(&names), random.below(5)) {
                (Some(name), 0) => drop(children.remove(name)),
                (Some(name), 1..=3) => {
                    if let Some(child) = children.get_mut(name) {
                        edit(random, child, depth + 1);
                    }
                }
                _ => drop(children.insert(name(random), fresh)),
            }
        }
    }
}

fn super_tree(random: &mut Random, depth: usize) -> Tree {
    tree(random, depth + 2)
}

/// Writes a tree in one of several layouts.
fn text(tree: &Tree, layout: usize, indent: &str) -> String {
    let (unit, colon) = [("", ":"), ("  ", ": "), ("\t", ":")][layout];
    let within = format!("{indent}{unit}");
    let list = |brackets: (&str, &str), items: Vec<String>| {
        if items.is_empty() {
            return format!("{}{}", brackets.0, brackets.1);
        }
        let (open, close) = if layout == 0 {
            (String::new(), String::new())
        } else {
            (format!("\n{within}"), format!("\n{indent}"))
        };
        format!("{}{open}{}{close}{}", brackets.0, items.join(&format!(",{open}")), brackets.1)
    };
    match tree {
        Tree::Leaf(text) => text.clone(),
        Tree::Object(children) => {
            let member = |(name, child): (&String, &Tree)| {
                format!("\"{name}\"{colon}{}", text(child, layout, &within))
            };
            list(("{", "}"), children.iter().map(member).collect())
        }
        Tree::Records(records) => {
            let record = |(name, child): (&String, &Tree)| {
                let Tree::Object(children) = child else { panic!("a record is an object") };
                let mut children = children.clone();
                children.insert("id".to_owned(), Tree::Leaf(format!("\"{name}\"")));
                text(&Tree::Object(children), layout, &within)
            };
            list(("[", "]"), records.iter().map(record).collect())
        }
    }
}

/// What merging must say: the tree, or that two edits meet.
fn expected(base: Option<&Tree>, local: Option<&Tree>, remote: Option<&Tree>) -> Result<Option<Tree>, ()> {
    if local == remote || base == remote {
        return Ok(local.cloned());
    }
    if base == local {
        return Ok(remote.cloned());
    }
    let empty = BTreeMap::new();
    let (local, remote, base, records) = match (local, remote, base) {
        (Some(Tree::Object(local)), Some(Tree::Object(remote)), None) => (local, remote, &empty, false),
        (Some(Tree::Object(local)), Some(Tree::Object(remote)), Some(Tree::Object(base))) => {
            (local, remote, base, false)
        }
        (Some(Tree::Records(local)), Some(Tree::Records(remote)), None) => (local, remote, &empty, true),
        (Some(Tree::Records(local)), Some(Tree::Records(remote)), Some(Tree::Records(base))) => {
            (local, remote, base, true)
        }
        _ => return Err(()),
    };
    let mut merged = BTreeMap::new();
    for name in local.keys().chain(remote.keys()) {
        if let Some(tree) = expected(base.get(name), local.get(name), remote.get(name))? {
            merged.insert(name.clone(), tree);
        }
    }
    Ok(Some(if records { Tree::Records(merged) } else { Tree::Object(merged) }))
}

#[test]
fn every_edit_of_both_sides_survives() {
    each_seed("every_edit_of_both_sides_survives", |random| {
        let base = tree(random, 0);
        let mut edited = || {
            let mut tree = base.clone();
            for _ in 0..random.below(4) {
                edit(random, &mut tree, 0);
            }
            tree
        };
        let (local, remote) = (edited(), edited());
        let based = random.chance(90).then_some(&base);
        let layouts = [random.below(3), random.below(3), random.below(3)];
        let versions = (
            based.map(|base| text(base, layouts[0], "")),
            text(&local, layouts[1], ""),
            text(&remote, layouts[2], ""),
        );
        let merged = run(&JSON, &input(versions.0.as_deref(), &versions.1, &versions.2));
        let shown = format!("{versions:#?}\n{merged:?}");
        match (merged, expected(based, Some(&local), Some(&remote))) {
            (Merged::Clean { bytes, .. }, Ok(Some(tree))) => {
                // Equal as values: merging it with the model's own text finds no difference.
                let said = String::from_utf8(bytes).unwrap();
                let model = text(&tree, layouts[1], "");
                assert_eq!(sorted(&said), sorted(&model), "{shown}");
            }
            (Merged::Unclean(Unclean::SameValue { .. } | Unclean::EditRemoval { .. }), Err(())) => {}
            (merged, expected) => panic!("{merged:?} but {expected:?}\n{shown}"),
        }
    });
}

/// All that a document says, without white space, whatever the order of its members and records.
fn sorted(text: &str) -> Vec<char> {
    let mut letters: Vec<char> = text.chars().filter(|letter| !letter.is_whitespace()).collect();
    letters.sort_unstable();
    letters
}

#[test]
fn merging_json_has_its_algebra() {
    each_seed("merging_json_has_its_algebra", |random| {
        let base = tree(random, 0);
        let mut local = base.clone();
        edit(random, &mut local, 0);
        let layout = random.below(3);
        let (base, local) = (text(&base, layout, ""), text(&local, layout, ""));
        assert_eq!(clean(&JSON, Some(&base), &local, &local), local);
        assert_eq!(clean(&JSON, Some(&base), &local, &base), local);
        assert_eq!(clean(&JSON, Some(&base), &base, &local), local);
        // One that only writes the base in another way does not hide the edit of the other side.
        let spaced = format!(" {base}\n");
        let merged = clean(&JSON, Some(&base), &spaced, &local);
        assert_eq!(merged, format!(" {local}\n"));
        // What was merged merges with each side into itself.
        assert_eq!(clean(&JSON, Some(&base), &merged, &spaced), merged);
    });
}

/// Arrays without keys merge as text does, an element being a line.
#[test]
fn arrays_without_keys_merge_as_lines_do() {
    each_seed("arrays_without_keys_merge_as_lines_do", |random| {
        let elements = ["1", "2", "3", "[4]", "{\"x\":5}", "\"6\""];
        let base: Vec<&str> = (0..random.below(12)).map(|_| elements[random.below(6)]).collect();
        let mut edited = || {
            let mut list = base.clone();
            for _ in 0..random.below(4) {
                let at = random.below(list.len() + 1);
                if at < list.len() && random.chance(50) {
                    list.remove(at);
                } else {
                    list.insert(at, elements[random.below(6)]);
                }
            }
            list
        };
        let (local, remote) = (edited(), edited());
        let json = |list: &[&str]| format!("[{}]", list.join(","));
        let lines = |list: &[&str]| list.iter().map(|element| format!("{element}\n")).collect::<String>();
        let [base, local, remote] = [&base, &local, &remote].map(|list| (json(list), lines(list)));
        let by_line = run(&Strategy::Text, &input(Some(&base.1), &local.1, &remote.1));
        match (run(&JSON, &input(Some(&base.0), &local.0, &remote.0)), by_line) {
            (Merged::Clean { bytes, .. }, Merged::Clean { bytes: lines, .. }) => {
                let lines = String::from_utf8(lines).unwrap();
                let elements: Vec<&str> = lines.lines().collect();
                assert_eq!(String::from_utf8(bytes).unwrap(), json(&elements));
            }
            (Merged::Unclean(Unclean::SameValue { .. }), Merged::Unclean(Unclean::Overlap { .. })) => {}
            (by_element, by_line) => panic!("{by_element:?} but {by_line:?}"),
        }
    });
}
