//! Uniting the records of two versions, with the base for tombstones.

use std::collections::HashMap;

use super::super::json::layout::{Style, write_value};
use super::super::json::parse::{Document, Node};
use super::super::json::walk::{Out, Pointer, value};
use super::super::{Decided, DecidedBy};
use super::order::{Rank, order};
use super::stamp;
use crate::digest::Digest;
use crate::side::Side;

/// A record of one version.
#[derive(Clone, Debug)]
pub(super) struct Record<'d, 'a> {
    /// Equal for two versions of one record.
    pub id: Digest,
    /// Equal for records that say the same.
    pub content: Digest,
    /// As it will be written.
    pub text: Vec<u8>,
    /// Its key for people.
    pub key: &'a str,
    pub rank: Rank,
    /// The JSON that it is, where it is.
    pub json: Option<(&'d Document<'a>, &'d Node<'a>)>,
}

/// How merged records are written.
pub(super) struct Form<'s> {
    pub style: &'s Style,
    pub indent: &'s str,
}

/// The two versions, in an order that does not depend on which side they are on, and the base.
pub(super) struct Versions<'d, 'a> {
    pub base: Vec<Record<'d, 'a>>,
    pub first: Vec<Record<'d, 'a>>,
    pub second: Vec<Record<'d, 'a>>,
    /// The side of `first`.
    pub side: Side,
}

/// One record of the result.
pub(super) struct United {
    pub id: Digest,
    pub text: Vec<u8>,
    decided: Option<Decided>,
}

/// Unites the records; of those that both versions edited, members are united where the base allows it.
pub(super) fn unite(versions: &Versions<'_, '_>, form: Option<&Form<'_>>) -> (Vec<United>, Vec<Decided>) {
    let (base, _) = table(&versions.base);
    let (first, firsts) = table(&versions.first);
    let (second, seconds) = table(&versions.second);
    let mut ranks = HashMap::with_capacity(first.len().max(second.len()));
    let mut united = HashMap::with_capacity(first.len().max(second.len()));
    let both = firsts.iter().chain(seconds.iter().filter(|id| !first.contains_key(id)));
    for id in both {
        let (base, first, second) = (base.get(id), first.get(id), second.get(id));
        let Some(shown) = first.or(second) else { continue };
        let (text, decided) = match (first, second) {
            (Some(first), Some(second)) => pair(base.copied(), first, second, versions.side, form),
            // Removed on the other side, and here as it was: the removal stands. An edit beats it.
            _ if base.is_some_and(|base| base.content == shown.content) => continue,
            _ => (shown.text.clone(), None),
        };
        ranks.insert(
            *id,
            shown.rank.clone().min(second.map_or(shown.rank.clone(), |other| other.rank.clone())),
        );
        united.insert(*id, United { id: *id, text, decided });
    }
    let order = order([&firsts, &seconds], &ranks);
    let mut united: Vec<United> = order.iter().filter_map(|id| united.remove(id)).collect();
    let decided = united.iter_mut().filter_map(|record| record.decided.take()).collect();
    (united, decided)
}

type Table<'r, 'd, 'a> = HashMap<Digest, &'r Record<'d, 'a>>;

/// The records of one version by their name, and their order; of two with one name the one that would win stays.
fn table<'r, 'd, 'a>(records: &'r [Record<'d, 'a>]) -> (Table<'r, 'd, 'a>, Vec<Digest>) {
    let mut table: Table<'r, 'd, 'a> = HashMap::with_capacity(records.len());
    let mut order = Vec::with_capacity(records.len());
    for record in records {
        match table.get_mut(&record.id) {
            None => {
                table.insert(record.id, record);
                order.push(record.id);
            }
            Some(known) if strength(record) > strength(known) => *known = record,
            Some(_) => {}
        }
    }
    (table, order)
}

/// The order in which versions of one record win: a total order over what they say, so that it is the same on every
/// node and whatever is united first.
fn strength<'r>(record: &'r Record<'_, '_>) -> (Option<i128>, Digest, std::cmp::Reverse<&'r [u8]>) {
    let changed = record.json.and_then(|(_, node)| stamp::changed(node).or_else(|| stamp::nanos(node)));
    (changed, record.content, std::cmp::Reverse(&record.text))
}

/// What becomes of a record that both versions have.
fn pair(
    base: Option<&Record<'_, '_>>,
    first: &Record<'_, '_>,
    second: &Record<'_, '_>,
    side: Side,
    form: Option<&Form<'_>>,
) -> (Vec<u8>, Option<Decided>) {
    if first.content == second.content {
        return (first.text.as_slice().min(&second.text).to_vec(), None);
    }
    if let Some(base) = base {
        if base.content == first.content {
            return (second.text.clone(), None);
        }
        if base.content == second.content {
            return (first.text.clone(), None);
        }
        if let Some(text) = form.and_then(|form| fields(base, first, second, form)) {
            return (text, None);
        }
    }
    let (one, other) = (strength(first), strength(second));
    let by = if one.0 == other.0 { DecidedBy::Content } else { DecidedBy::Stamp };
    let (winner, text) = if one > other { (side, &first.text) } else { (side.other(), &second.text) };
    (text.clone(), Some(Decided { key: first.key.to_owned(), winner, by }))
}

/// The record with the edits of both versions, when no member was edited by both; a member that tells when the record
/// was changed takes the later time.
fn fields(
    base: &Record<'_, '_>,
    first: &Record<'_, '_>,
    second: &Record<'_, '_>,
    form: &Form<'_>,
) -> Option<Vec<u8>> {
    let (_, base) = base.json?;
    let (document, first) = first.json?;
    let (_, second) = second.json?;
    let (bases, firsts, seconds) = (by_key(base)?, by_key(first)?, by_key(second)?);
    let mut members = Vec::new();
    for member in first.object()? {
        let base = bases.get(&*member.key).copied();
        let Some(other) = seconds.get(&*member.key) else {
            match base {
                Some(base) if base.digest == member.value.digest => {}
                Some(_) => return None,
                None => members.push((member.name, Out::Keep(&member.value))),
            }
            continue;
        };
        let out = match value(base, &member.value, other, None, &mut Pointer::default()) {
            Ok(out) => out,
            Err(_) if stamp::CHANGED.contains(&&*member.key) => {
                let later = stamp::nanos(&member.value)? >= stamp::nanos(other)?;
                if later { Out::Keep(&member.value) } else { Out::Take(other) }
            }
            Err(_) => return None,
        };
        members.push((member.name, out));
    }
    for member in second.object()?.iter().filter(|member| !firsts.contains_key(&*member.key)) {
        match bases.get(&*member.key) {
            Some(base) if base.digest == member.value.digest => {}
            Some(_) => return None,
            None => members.push((member.name, Out::Take(&member.value))),
        }
    }
    let mut text = String::new();
    let out = Out::Object { like: first, members };
    write_value(&mut text, &out, document, form.style, true, form.indent);
    Some(text.into_bytes())
}

/// The members of an object by their keys.
fn by_key<'n, 'a>(node: &'n Node<'a>) -> Option<HashMap<&'n str, &'n Node<'a>>> {
    Some(node.object()?.iter().map(|member| (&*member.key, &member.value)).collect())
}
