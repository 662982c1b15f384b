//! What the records of a version are.

use super::super::Unclean;
use super::super::json::parse::{Body, Document, Member, Node, VALUES_MAX, parse};
use super::super::lines::lines;

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
            Self::Empty | Self::Lines => Vec::new(),
        }
    }
}

/// The only member of an object that is an array.
pub(super) fn wrapped<'n, 'a>(root: &'n Node<'a>) -> Option<&'n Member<'a>> {
    let mut lists = root.object()?.iter().filter(|member| matches!(member.value.body, Body::Array(_)));
    lists.next().filter(|_| lists.next().is_none())
}

/// Cuts all versions into records of one shape; fails when they do not have one.
///
/// A lone line such as `{"id":1,"tags":[]}` could be a record or an object around an array; it is a record as soon as
/// another version has several such lines.
pub(super) fn shapes<'a>(versions: &[&'a [u8]]) -> Result<Vec<Shape<'a>>, Unclean> {
    let single: Vec<Shape<'a>> = versions.iter().map(|bytes| whole(bytes)).collect();
    let several: Vec<Shape<'a>> = versions.iter().map(|bytes| split(bytes)).collect::<Result<_, _>>()?;
    let many = several.iter().any(|shape| matches!(shape, Shape::Documents(lines) if lines.len() > 1));
    let text = versions.iter().map(|bytes| if blank(bytes) { Shape::Empty } else { Shape::Lines }).collect();
    let candidates = if many { [several, single] } else { [single, several] };
    let mut best: Vec<&'static str> = Vec::new();
    for candidate in candidates {
        if alike(&candidate) {
            return Ok(candidate);
        }
        for (index, shape) in candidate.iter().enumerate() {
            if best.len() <= index {
                best.push(shape.name());
            } else if best[index] == "text" {
                best[index] = shape.name();
            }
        }
    }
    // A version that is JSON beside one that is not: to unite their lines would break both.
    if best.iter().any(|name| !matches!(*name, "text" | "empty")) {
        let [.., local, remote] = best[..] else { return Ok(text) };
        return Err(Unclean::Shapes { local, remote });
    }
    Ok(text)
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
    !matches!(first, Shape::Lines) && filled.all(|shape| shape.name() == first.name() && list(shape) == key)
}

fn whole(bytes: &[u8]) -> Shape<'_> {
    if blank(bytes) {
        return Shape::Empty;
    }
    match parse(bytes) {
        Ok(document) if document.root.array().is_some() => Shape::Array(document),
        Ok(document) if wrapped(&document.root).is_some() => Shape::Wrapped(document),
        _ => Shape::Lines,
    }
}

fn split(bytes: &[u8]) -> Result<Shape<'_>, Unclean> {
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
        if values > VALUES_MAX {
            return Err(Unclean::TooMany { version: "larger", lines_max: VALUES_MAX });
        }
    }
    Ok(Shape::Documents(documents))
}

pub(super) fn blank(bytes: &[u8]) -> bool {
    bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes).iter().all(u8::is_ascii_whitespace)
}
