//! What the records of a version are.

use super::super::json::parse::{Body, Document, Member, Node, parse};
use super::super::lines::lines;
use super::super::{Unclean, VERSION_VALUES_MAX};

/// A version, cut into records.
pub(super) enum Shape<'a> {
    /// Nothing but white space: it goes with every shape.
    Empty,
    /// One JSON array.
    Array(Document<'a>),
    /// A JSON object with exactly one array among its members: the array holds the records.
    Wrapped(Document<'a>),
    /// Newline-delimited JSON: a value on each line.
    Documents(Vec<Document<'a>>),
    /// Text: its lines are the records.
    Lines,
    /// A JSON value that holds no records of its own.
    Value,
}

impl<'a> Shape<'a> {
    /// What people call it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::Array(_) => "a JSON array",
            Self::Wrapped(_) => "a JSON object with one array",
            Self::Documents(_) => "newline-delimited JSON",
            Self::Lines => "text",
            Self::Value => "one JSON value",
        }
    }

    /// The document of an array or a wrapped one.
    pub fn document(&self) -> Option<&Document<'a>> {
        if let Self::Array(document) | Self::Wrapped(document) = self { Some(document) } else { None }
    }

    /// The records of a JSON shape, each with its document.
    pub fn records(&self) -> Vec<(&Document<'a>, &Node<'a>)> {
        match self {
            Self::Array(document) => {
                document.root.array().unwrap_or_default().iter().map(|node| (document, node)).collect()
            }
            Self::Wrapped(document) => {
                let list = wrapped(&document.root).and_then(|member| member.value.array());
                list.unwrap_or_default().iter().map(|node| (document, node)).collect()
            }
            Self::Documents(documents) => {
                documents.iter().map(|document| (document, &document.root)).collect()
            }
            Self::Empty | Self::Lines | Self::Value => Vec::new(),
        }
    }
}

/// The only member of an object that is an array.
pub(super) fn wrapped<'n, 'a>(root: &'n Node<'a>) -> Option<&'n Member<'a>> {
    let mut lists = root.object()?.iter().filter(|member| matches!(member.value.body, Body::Array(_)));
    lists.next().filter(|_| lists.next().is_none())
}

/// Cuts all versions, each with its name, into records of one shape; fails when they do not have one.
///
/// A lone line such as `{"id":1,"tags":[]}` could be a record or a whole document. It is a record as soon as another
/// version has several such lines, or when it ends with a line break and is no object around an array.
pub(super) fn shapes<'a>(versions: &[(&'static str, &'a [u8])]) -> Result<Vec<Shape<'a>>, Unclean> {
    let whole: Vec<Shape<'a>> = versions.iter().map(|(_, bytes)| whole(bytes)).collect();
    let split: Vec<Shape<'a>> =
        versions.iter().map(|(version, bytes)| split(version, bytes)).collect::<Result<_, _>>()?;
    let several = split.iter().any(|shape| matches!(shape, Shape::Documents(lines) if lines.len() > 1));
    let ended = versions.iter().all(|(_, bytes)| bytes.ends_with(b"\n") || blank(bytes));
    if several && alike(&split) {
        return Ok(split);
    }
    if alike(&whole) {
        return Ok(whole);
    }
    if ended && alike(&split) {
        return Ok(split);
    }
    // A version that is JSON beside one that is not, or a JSON document without records: to unite their lines would
    // break it.
    let names: Vec<&'static str> = whole
        .iter()
        .zip(&split)
        .map(|(whole, split)| if matches!(whole, Shape::Lines) { split.name() } else { whole.name() })
        .collect();
    let text = |shape: &Shape<'a>| if matches!(shape, Shape::Empty) { Shape::Empty } else { Shape::Lines };
    match names[..] {
        [.., local, remote] if names.iter().any(|name| !matches!(*name, "text" | "empty")) => {
            Err(Unclean::Shapes { local, remote })
        }
        _ => Ok(whole.iter().map(text).collect()),
    }
}

/// Whether all shapes are the same one and not text, apart from empty ones, and their lists have the same name.
fn alike(shapes: &[Shape<'_>]) -> bool {
    let mut filled = shapes.iter().filter(|shape| !matches!(shape, Shape::Empty));
    let Some(first) = filled.next() else { return true };
    let list = |shape: &Shape<'_>| match shape {
        Shape::Wrapped(document) => wrapped(&document.root).map(|member| member.key.to_string()),
        _ => None,
    };
    let key = list(first);
    !matches!(first, Shape::Lines | Shape::Value)
        && filled.all(|shape| shape.name() == first.name() && list(shape) == key)
}

fn whole(bytes: &[u8]) -> Shape<'_> {
    if blank(bytes) {
        return Shape::Empty;
    }
    match parse(bytes) {
        Ok(document) if document.root.array().is_some() => Shape::Array(document),
        Ok(document) if wrapped(&document.root).is_some() => Shape::Wrapped(document),
        Ok(document) if document.root.object().is_some() => Shape::Value,
        _ => Shape::Lines,
    }
}

fn split<'a>(version: &'static str, bytes: &'a [u8]) -> Result<Shape<'a>, Unclean> {
    if blank(bytes) {
        return Ok(Shape::Empty);
    }
    let mut values = 0;
    let mut documents = Vec::new();
    for line in lines(bytes).into_iter().filter(|line| !blank(line)) {
        match parse(line) {
            Ok(document) if document.root.object().is_some() => {
                values += document.values;
                documents.push(document);
            }
            _ => return Ok(Shape::Lines),
        }
        if values > VERSION_VALUES_MAX {
            return Err(Unclean::TooMany { version, lines_max: VERSION_VALUES_MAX });
        }
    }
    Ok(Shape::Documents(documents))
}

pub(super) fn blank(bytes: &[u8]) -> bool {
    bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes).iter().all(u8::is_ascii_whitespace)
}
