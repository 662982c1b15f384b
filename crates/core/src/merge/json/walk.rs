//! The three-way walk over three documents.

use std::collections::HashMap;

use super::super::lines::{By, regions};
use super::super::{Unclean, VERSION_LINES_MAX};
use super::parse::{Body, Node};
use super::records::{ids, record_key};
use crate::digest::Digest;
use crate::side::Side;

/// A merged value, made of pieces of both versions.
#[derive(Debug)]
pub(in crate::merge) enum Out<'n, 'a> {
    /// A value of the local version.
    Keep(&'n Node<'a>),
    /// A value of the remote version.
    Take(&'n Node<'a>),
    /// A merged object, laid out like the local one. Names are as they are written.
    Object { like: &'n Node<'a>, members: Vec<(&'a str, Self)> },
    /// A merged array, laid out like the local one.
    Array { like: &'n Node<'a>, items: Vec<Self> },
}

/// A JSON pointer that grows and shrinks with the walk.
#[derive(Default)]
pub(in crate::merge) struct Pointer(String);

impl Pointer {
    /// Goes one level down, does something there, and comes back.
    pub fn within<R>(&mut self, part: &str, act: impl FnOnce(&mut Self) -> R) -> R {
        let length = self.0.len();
        self.0.push('/');
        self.0.push_str(&part.replace('~', "~0").replace('/', "~1"));
        let result = act(self);
        self.0.truncate(length);
        result
    }

    /// The pointer as text.
    pub fn text(&self) -> String {
        self.0.clone()
    }
}

/// Merges the values of one place, where all versions that are given have one.
pub(in crate::merge) fn value<'n, 'a>(
    base: Option<&'n Node<'a>>,
    local: &'n Node<'a>,
    remote: &'n Node<'a>,
    key: Option<&str>,
    at: &mut Pointer,
) -> Result<Out<'n, 'a>, Unclean> {
    let same = |node: &Node<'_>| base.is_some_and(|base| base.digest == node.digest);
    if local.digest == remote.digest || same(remote) {
        return Ok(Out::Keep(local));
    }
    if same(local) {
        return Ok(Out::Take(remote));
    }
    match (&local.body, &remote.body, base.map(|base| &base.body)) {
        (Body::Object(_), Body::Object(_), None | Some(Body::Object(_))) => {
            object(base, local, remote, key, at)
        }
        (Body::Array(_), Body::Array(_), None | Some(Body::Array(_))) => array(base, local, remote, key, at),
        _ => Err(Unclean::SameValue { pointer: at.text() }),
    }
}

/// A named value in a list: a member of an object, or a keyed record of an array.
struct Entry<'n, 'a> {
    id: Digest,
    /// The member's name as it is written; empty for a record.
    name: &'a str,
    /// Its part of a JSON pointer.
    part: String,
    node: &'n Node<'a>,
}

fn object<'n, 'a>(
    base: Option<&'n Node<'a>>,
    local: &'n Node<'a>,
    remote: &'n Node<'a>,
    key: Option<&str>,
    at: &mut Pointer,
) -> Result<Out<'n, 'a>, Unclean> {
    let entries = |node: &'n Node<'a>| -> Vec<Entry<'n, 'a>> {
        let members = node.object().unwrap_or_default().iter();
        let entry = |member: &'n super::parse::Member<'a>| Entry {
            id: Digest::of(member.key.as_bytes()),
            name: member.name,
            part: member.key.to_string(),
            node: &member.value,
        };
        members.map(entry).collect()
    };
    let members = named(
        &base.map(entries).unwrap_or_default(),
        &entries(local),
        &entries(remote),
        Side::Local,
        key,
        at,
    )?;
    Ok(Out::Object { like: local, members })
}

fn array<'n, 'a>(
    base: Option<&'n Node<'a>>,
    local: &'n Node<'a>,
    remote: &'n Node<'a>,
    key: Option<&str>,
    at: &mut Pointer,
) -> Result<Out<'n, 'a>, Unclean> {
    let items = |node: &'n Node<'a>| node.array().unwrap_or_default();
    let versions: Vec<Vec<&Node<'a>>> =
        base.into_iter().chain([local, remote]).map(|node| items(node).iter().collect()).collect();
    let Some(record_key) = record_key(key, &versions) else {
        let base = base.ok_or_else(|| Unclean::SameValue { pointer: at.text() })?;
        let items = sequence(items(base), items(local), items(remote), at)?;
        return Ok(Out::Array { like: local, items });
    };
    let entries = |node: &'n Node<'a>| -> Vec<Entry<'n, 'a>> {
        let records = items(node);
        let numbered = ids(records, &record_key).into_iter().zip(records).enumerate();
        numbered.map(|(index, (id, node))| Entry { id, name: "", part: index.to_string(), node }).collect()
    };
    let (base, locals, remotes) = (base.map(entries).unwrap_or_default(), entries(local), entries(remote));
    let order = |entries: &[Entry<'_, '_>], among: &[Entry<'_, '_>]| -> Vec<Digest> {
        let known: std::collections::HashSet<Digest> = among.iter().map(|entry| entry.id).collect();
        entries.iter().map(|entry| entry.id).filter(|id| known.contains(id)).collect()
    };
    // Order is part of an array: whoever changed it has it, and two different orders are a conflict.
    let alike = order(&locals, &remotes) == order(&remotes, &locals);
    let local_kept = order(&locals, &base) == order(&base, &locals);
    let remote_kept = order(&remotes, &base) == order(&base, &remotes);
    if !alike && local_kept == remote_kept {
        return Err(Unclean::Order { pointer: at.text() });
    }
    let order = if !alike && local_kept { Side::Remote } else { Side::Local };
    let merged = named(&base, &locals, &remotes, order, key, at)?;
    Ok(Out::Array { like: local, items: merged.into_iter().map(|(_, out)| out).collect() })
}

/// Merges lists of named values, in the order of one side.
fn named<'n, 'a>(
    base: &[Entry<'n, 'a>],
    local: &[Entry<'n, 'a>],
    remote: &[Entry<'n, 'a>],
    order: Side,
    key: Option<&str>,
    at: &mut Pointer,
) -> Result<Vec<(&'a str, Out<'n, 'a>)>, Unclean> {
    let index = |entries: &[Entry<'n, 'a>]| -> HashMap<Digest, usize> {
        entries.iter().enumerate().map(|(index, entry)| (entry.id, index)).collect()
    };
    let (bases, locals, remotes) = (index(base), index(local), index(remote));
    let order = match order {
        Side::Local => placed(local, &locals, remote, &remotes),
        Side::Remote => placed(remote, &remotes, local, &locals),
    };
    let mut merged = Vec::with_capacity(order.len());
    for id in order {
        let base = bases.get(&id).map(|&index| &base[index]);
        let local = locals.get(&id).map(|&index| &local[index]);
        let remote = remotes.get(&id).map(|&index| &remote[index]);
        let Some(shown) = local.or(remote) else { continue };
        let out = at.within(&shown.part, |at| match (local, remote) {
            (Some(local), Some(remote)) => {
                value(base.map(|base| base.node), local.node, remote.node, key, at).map(Some)
            }
            (Some(only), None) | (None, Some(only)) => match base {
                // Unchanged where it still is, so the removal is the only edit.
                Some(base) if base.node.digest == only.node.digest => Ok(None),
                Some(_) => Err(Unclean::EditRemoval { pointer: at.text() }),
                None if local.is_some() => Ok(Some(Out::Keep(only.node))),
                None => Ok(Some(Out::Take(only.node))),
            },
            (None, None) => Ok(None),
        })?;
        merged.extend(out.map(|out| (shown.name, out)));
    }
    Ok(merged)
}

/// The order of everything in both lists: that of `first`, and what only `second` has after what it follows there.
fn placed(
    first: &[Entry<'_, '_>],
    firsts: &HashMap<Digest, usize>,
    second: &[Entry<'_, '_>],
    seconds: &HashMap<Digest, usize>,
) -> Vec<Digest> {
    let mut following: HashMap<Option<Digest>, Vec<Digest>> = HashMap::new();
    let mut anchor = None;
    for entry in second {
        if firsts.contains_key(&entry.id) {
            anchor = Some(entry.id);
        } else {
            following.entry(anchor).or_default().push(entry.id);
        }
    }
    let leading = following.remove(&None).unwrap_or_default();
    // Lists that share nothing are put one after the other.
    let (mut order, mut pending) =
        if anchor.is_some() { (leading, Vec::new()) } else { (Vec::new(), leading) };
    for entry in first {
        // What `first` added after the anchor comes before what `second` added there.
        if seconds.contains_key(&entry.id) {
            order.append(&mut pending);
            pending = following.remove(&Some(entry.id)).unwrap_or_default();
        }
        order.push(entry.id);
    }
    order.append(&mut pending);
    order
}

/// Merges arrays of values without names, by their elements.
fn sequence<'n, 'a>(
    base: &'n [Node<'a>],
    local: &'n [Node<'a>],
    remote: &'n [Node<'a>],
    at: &mut Pointer,
) -> Result<Vec<Out<'n, 'a>>, Unclean> {
    for (version, nodes) in [("base", base), ("local", local), ("remote", remote)] {
        if nodes.len() > VERSION_LINES_MAX {
            return Err(Unclean::TooMany { version, lines_max: VERSION_LINES_MAX });
        }
    }
    let digests = |nodes: &[Node<'a>]| -> Vec<Digest> { nodes.iter().map(|node| node.digest).collect() };
    let mut items = Vec::with_capacity(local.len().max(remote.len()));
    // Elements that nobody touched are copied from the local version, as it writes them.
    let mut from = 0;
    for region in regions(&digests(base), &digests(local), &digests(remote)) {
        items.extend(local[from..region.now.local.start].iter().map(Out::Keep));
        from = region.now.local.end;
        match region.by {
            By::Both => {
                let part = region.now.local.start.to_string();
                return Err(at.within(&part, |at| Unclean::SameValue { pointer: at.text() }));
            }
            By::One(Side::Remote) => items.extend(remote[region.now.remote].iter().map(Out::Take)),
            By::One(Side::Local) | By::Same => items.extend(local[region.now.local].iter().map(Out::Keep)),
        }
    }
    items.extend(local[from..].iter().map(Out::Keep));
    Ok(items)
}
