//! Uniting records: everything that either version has, once.
//!
//! The records of a version are the elements of a JSON array (the whole document, or the only array in an object), the
//! lines of newline-delimited JSON, or lines of text. A record is known by its key where it has one, else by all that
//! it says.
//!
//! - **Commutative**, byte for byte: the two versions are put into an order of their own first, so nothing can depend on
//!   the side.
//! - **Associative** in its records: without a base, whichever two of three versions are united first, the same records
//!   come out, saying the same. Their order is the same too when each version added its records at the end.
//! - **Idempotent**.
//! - **Order**: that of each version is kept. Records that neither version orders stand by when they came to be, then by
//!   key or content. Where the versions contradict each other, the record that ranks lowest comes next.
//! - **Tombstones**: a record of the base that one side removed and the other left alone is gone; an edit beats a
//!   removal.
//! - **Edits**: a record that both sides edited is united member by member where no member was edited by both;
//!   otherwise the version that says it was changed later wins, or an order over the content where neither says. Such
//!   records are [told](super::Decided).
//! - **Append-only**: where both text versions begin with the base, its bytes stay as they are, with repeated lines,
//!   and both tails follow. Without a base, a version that continues the other one is the result.

mod order;
mod shape;
mod stamp;
mod unite;

use std::collections::HashMap;

use super::json::layout::{Style, render};
use super::json::parse::{Document, Member, Node, parse};
use super::json::records::{record_id, record_key};
use super::lines::lines;
use super::{Decided, Input, Merged, Unclean};
use crate::digest::Digest;
use crate::side::Side;
use shape::{Shape, blank, shapes, wrapped};
use unite::{Form, Record, Versions, unite};

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The input without byte order marks, its versions in an order that does not depend on the side.
struct Pair<'a> {
    base: &'a [u8],
    based: bool,
    first: &'a [u8],
    second: &'a [u8],
    side: Side,
}

/// Unites the records of both versions.
pub(super) fn merge(input: &Input<'_>, key: Option<&str>) -> Merged {
    merged(input, key).unwrap_or_else(Merged::Unclean)
}

fn merged(input: &Input<'_>, key: Option<&str>) -> Result<Merged, Unclean> {
    let plain = |bytes| <[u8]>::strip_prefix(bytes, BYTE_ORDER_MARK).unwrap_or(bytes);
    let (local, remote) = (plain(input.local), plain(input.remote));
    let side = if local <= remote { Side::Local } else { Side::Remote };
    let (first, second) = (local.min(remote), local.max(remote));
    let base = plain(input.base.unwrap_or_default());
    let pair = Pair { base, based: input.base.is_some(), first, second, side };
    let marked = [input.local, input.remote].iter().any(|bytes| bytes.starts_with(BYTE_ORDER_MARK));
    let (bytes, decided) = united(&pair, key)?;
    let mark = if marked { BYTE_ORDER_MARK } else { &[] };
    Ok(Merged::Clean { bytes: [mark, &bytes].concat(), decided })
}

fn united(pair: &Pair<'_>, key: Option<&str>) -> Result<(Vec<u8>, Vec<Decided>), Unclean> {
    if blank(pair.first) && (blank(pair.second) || !pair.based) {
        return Ok((pair.second.to_vec(), Vec::new()));
    }
    if blank(pair.second) && !pair.based {
        return Ok((pair.first.to_vec(), Vec::new()));
    }
    let (local, remote) = match pair.side {
        Side::Local => (pair.first, pair.second),
        Side::Remote => (pair.second, pair.first),
    };
    let mut shapes = shapes(&[("base", pair.base), ("local", local), ("remote", remote)])?;
    if pair.side == Side::Remote {
        shapes.swap(1, 2);
    }
    let [base, first, second] = &shapes[..] else { return Ok((pair.second.to_vec(), Vec::new())) };
    let shown = if matches!(first, Shape::Empty) { second } else { first };
    let key = key_of(key, &shapes);
    match shown {
        Shape::Array(_) | Shape::Wrapped(_) => document(pair, [base, first, second], key.as_deref()),
        Shape::Documents(_) if key.is_some() => Ok(documents(pair, [base, first, second], key.as_deref())),
        Shape::Documents(_) | Shape::Lines | Shape::Value | Shape::Empty => Ok(text(pair)),
    }
}

/// The member that names the records: the one that was asked for, or one that fits in all versions.
fn key_of(key: Option<&str>, shapes: &[Shape<'_>]) -> Option<String> {
    if let Some(key) = key {
        let named =
            |shape: &Shape<'_>| shape.records().iter().any(|(_, node)| record_id(node, key).is_some());
        return shapes.iter().any(named).then(|| key.to_owned());
    }
    let records: Vec<Vec<&Node<'_>>> =
        shapes.iter().map(|shape| shape.records().into_iter().map(|(_, node)| node).collect()).collect();
    record_key(None, &records)
}

/// Names a JSON record, and writes it down by `text`.
fn record<'d, 'a>(
    (document, node): (&'d Document<'a>, &'d Node<'a>),
    key: Option<&str>,
    text: impl Fn(&Node<'_>) -> Vec<u8>,
) -> Record<'d, 'a> {
    let id = key.and_then(|key| record_id(node, key));
    let named = id.or_else(|| node.is_scalar().then_some(node));
    let rank = (stamp::created(node), named.map_or_else(|| node.digest.0.to_vec(), |node| natural(node.raw)));
    Record {
        id: id.map_or(node.digest, |id| id.digest),
        content: node.digest,
        text: text(node),
        key: id.map_or("", |id| id.raw),
        rank,
        json: Some((document, node)),
    }
}

/// Numbers by value, before texts.
fn natural(raw: &str) -> Vec<u8> {
    let number = raw.bytes().all(|byte| byte.is_ascii_digit());
    let length = if number { raw.len() } else { usize::MAX };
    [&(length as u64).to_be_bytes()[..], raw.as_bytes()].concat()
}

/// Unites newline-delimited JSON whose records have keys. Each record stays on its line as it is written.
fn documents(pair: &Pair<'_>, shapes: [&Shape<'_>; 3], key: Option<&str>) -> (Vec<u8>, Vec<Decided>) {
    let style = Style { unit: None, line_break: "\n", colon: ":".to_owned(), gap: String::new() };
    let [base, first, second] = shapes.map(|shape| -> Vec<Record<'_, '_>> {
        shape.records().into_iter().map(|found| record(found, key, |node| node.raw.into())).collect()
    });
    let versions = Versions { base, first, second, side: pair.side };
    let (records, decided) = unite(&versions, Some(&Form { style: &style, indent: "" }));
    (joined(pair, records.into_iter().map(|record| record.text)), decided)
}

/// Unites lines.
fn text(pair: &Pair<'_>) -> (Vec<u8>, Vec<Decided>) {
    let ends = |bytes: &[u8]| bytes.is_empty() || bytes.ends_with(b"\n");
    if !pair.based && ends(pair.first) && pair.second.starts_with(pair.first) {
        return (pair.second.to_vec(), Vec::new());
    }
    let log = pair.based && !pair.base.is_empty() && ends(pair.base);
    let tails = (pair.first.strip_prefix(pair.base), pair.second.strip_prefix(pair.base));
    let (kept, base, first, second) = match tails {
        // Both only added: what was there stays as it is, also where it repeats itself.
        (Some(first), Some(second)) if log => (pair.base, &[][..], first, second),
        _ => (&[][..], pair.base, pair.first, pair.second),
    };
    let repeated = !kept.is_empty();
    let [base, first, second] = [base, first, second].map(|bytes| line_records(bytes, repeated));
    let (records, decided) = unite(&Versions { base, first, second, side: pair.side }, None);
    let tail = joined(pair, records.into_iter().map(|record| record.text));
    ([kept, &tail].concat(), decided)
}

/// The lines of a version as records. Empty lines, and with `repeated` all lines, count as often as they are there.
fn line_records<'d>(bytes: &[u8], repeated: bool) -> Vec<Record<'d, 'd>> {
    let mut times: HashMap<&[u8], u64> = HashMap::new();
    let mut records = Vec::new();
    for line in lines(bytes) {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let time = times.entry(line).or_default();
        *time += 1;
        let counts = repeated || line.iter().all(u8::is_ascii_whitespace);
        let number = if counts { *time } else { 1 };
        let id = Digest::of(&[&number.to_be_bytes(), line].concat());
        records.push(Record {
            id,
            content: id,
            text: line.to_vec(),
            key: "",
            rank: (None, line.to_vec()),
            json: None,
        });
    }
    records
}

/// Lines with the line breaks of the versions; the last one has one when a version's last one has.
fn joined(pair: &Pair<'_>, texts: impl Iterator<Item = Vec<u8>>) -> Vec<u8> {
    let versions = [pair.first, pair.second];
    let crlf = |bytes: &&[u8]| {
        bytes.split_inclusive(|&byte| byte == b'\n').next().is_some_and(|line| line.ends_with(b"\r\n"))
    };
    let line_break: &[u8] = if versions.iter().any(crlf) { b"\r\n" } else { b"\n" };
    let mut bytes = texts.collect::<Vec<_>>().join(line_break);
    if !bytes.is_empty() && versions.iter().any(|bytes| bytes.ends_with(b"\n")) {
        bytes.extend(line_break);
    }
    bytes
}

/// Unites arrays, and the members around them.
fn document(
    pair: &Pair<'_>,
    shapes: [&Shape<'_>; 3],
    key: Option<&str>,
) -> Result<(Vec<u8>, Vec<Decided>), Unclean> {
    let documents = shapes.map(Shape::document);
    let [_, first, second] = documents;
    let (Some(one), Some(other)) = (first.or(second), second.or(first)) else {
        return Ok((pair.second.to_vec(), Vec::new()));
    };
    let style = Style::of(one, other).max(Style::of(other, one));
    let list_of_one = matches!(shapes[1], Shape::Array(_)) || matches!(shapes[2], Shape::Array(_));
    let outer = style.layout("");
    let indent = if list_of_one { "" } else { &outer.indent };
    let layout = style.layout(indent);
    let write = |node: &Node<'_>, indent: &str| {
        let mut text = String::new();
        render(&mut text, node, &style, style.unit.is_some(), indent);
        text.into_bytes()
    };
    let [base, firsts, seconds] = shapes.map(|shape| -> Vec<Record<'_, '_>> {
        let records = shape.records().into_iter();
        records.map(|found| record(found, key, |node| write(node, &layout.indent))).collect()
    });
    let versions = Versions { base, first: firsts, second: seconds, side: pair.side };
    let (records, mut decided) = unite(&versions, Some(&Form { style: &style, indent: &layout.indent }));
    let mut list = Vec::new();
    enclose(&mut list, *b"[]", &layout, records.into_iter().map(|record| record.text));
    let body = if list_of_one {
        list
    } else {
        let members = documents.map(|document| around(document, |node| write(node, &outer.indent)));
        let [base, first, second] = members;
        let (members, more) = unite(&Versions { base, first, second, side: pair.side }, None);
        decided.splice(0..0, more);
        let names = names(&documents);
        let texts = members.into_iter().filter_map(|member| {
            let (name, is_list) = names.get(&member.id)?;
            let value = if *is_list { &list } else { &member.text };
            Some([name.as_bytes(), outer.colon.as_bytes(), value].concat())
        });
        let mut body = Vec::new();
        enclose(&mut body, *b"{}", &outer, texts);
        body
    };
    let before = |document: &Document<'_>| document.text[..document.root.start].to_owned();
    let after = |document: &Document<'_>| document.text[document.root.end()..].to_owned();
    let front = before(one).max(before(other));
    let bytes = [front.as_bytes(), &body, after(one).max(after(other)).as_bytes()].concat();
    if parse(&bytes).is_err() {
        return Err(Unclean::Lost { pointer: String::new() });
    }
    Ok((bytes, decided))
}

/// Writes a list in brackets.
fn enclose(
    out: &mut Vec<u8>,
    brackets: [u8; 2],
    layout: &super::json::layout::Layout,
    texts: impl Iterator<Item = Vec<u8>>,
) {
    out.push(brackets[0]);
    let mut any = false;
    for text in texts {
        out.extend(if any { layout.comma.as_bytes() } else { layout.open.as_bytes() });
        out.extend(text);
        any = true;
    }
    if any {
        out.extend(layout.close.as_bytes());
    }
    out.push(brackets[1]);
}

/// The members of an object around an array. The array itself is among them, so that it has a place.
fn around<'d, 'a>(
    document: Option<&'d Document<'a>>,
    write: impl Fn(&Node<'_>) -> Vec<u8>,
) -> Vec<Record<'d, 'a>> {
    let Some(document) = document else { return Vec::new() };
    let list = wrapped(&document.root).map(|member| member.start);
    let members = document.root.object().unwrap_or_default().iter();
    let record = |member: &'d Member<'a>| {
        let is_list = Some(member.start) == list;
        Record {
            id: Digest::of(member.key.as_bytes()),
            content: if is_list { Digest::of(b"") } else { member.value.digest },
            text: if is_list { Vec::new() } else { write(&member.value) },
            key: member.name,
            rank: (None, member.key.as_bytes().to_vec()),
            json: (!is_list).then_some((document, &member.value)),
        }
    };
    members.map(record).collect()
}

/// How members are written, and whether they are the array.
fn names<'a>(documents: &[Option<&Document<'a>>; 3]) -> HashMap<Digest, (&'a str, bool)> {
    let mut names = HashMap::new();
    for document in documents.iter().flatten() {
        let list = wrapped(&document.root).map(|member| member.start);
        for member in document.root.object().unwrap_or_default() {
            let name = names.entry(Digest::of(member.key.as_bytes())).or_insert((member.name, false));
            name.0 = name.0.min(member.name);
            name.1 |= Some(member.start) == list;
        }
    }
    names
}
