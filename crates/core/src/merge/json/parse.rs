//! JSON as it is written: a tree over the text, with every value's place in it.
//!
//! A general JSON library gives values; merging also needs what they throw away: the digits of a number, the escapes of
//! a string, the order of members, a key that is there twice, the white space around. Grammar: RFC 8259. Stricter than
//! it in one point (a key may stand once in an object), as merging two members of one name has no meaning.

use std::borrow::Cow;

use super::super::VERSION_VALUES_MAX;
use crate::digest::Digest;

/// How deep values may be nested.
const DEPTH_MAX: usize = 128;

/// A parsed document.
#[derive(Debug)]
pub(in crate::merge) struct Document<'a> {
    /// The whole text, without a byte order mark.
    pub text: &'a str,
    /// Whether the text began with a byte order mark.
    pub bom: bool,
    /// How many values it holds.
    pub values: usize,
    pub root: Node<'a>,
}

/// A value.
#[derive(Debug)]
pub(in crate::merge) struct Node<'a> {
    /// The text of the value.
    pub raw: &'a str,
    /// Where it begins in the document.
    pub start: usize,
    /// Equal for equal values: whatever the white space, the escapes and the order of members. Numbers are equal when
    /// they are written alike.
    pub digest: Digest,
    pub body: Body<'a>,
}

#[derive(Debug)]
pub(in crate::merge) enum Body<'a> {
    String,
    /// A number, `true`, `false` or `null`, as it is written.
    Literal,
    Array(Vec<Node<'a>>),
    Object(Vec<Member<'a>>),
}

#[derive(Debug)]
pub(in crate::merge) struct Member<'a> {
    /// The key as it is written, with its quotes.
    pub name: &'a str,
    /// Where the key begins in the document.
    pub start: usize,
    /// The key, decoded.
    pub key: Cow<'a, str>,
    pub value: Node<'a>,
}

/// What is wrong with a text, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::merge) struct Flaw {
    pub problem: &'static str,
    /// The byte.
    pub at: usize,
}

/// The flaw of a document with more than [`VERSION_VALUES_MAX`] values, counting every element and member.
pub(in crate::merge) const TOO_MANY: &str = "too many values";

impl<'a> Node<'a> {
    /// Where the value ends in the document.
    pub fn end(&self) -> usize {
        self.start + self.raw.len()
    }

    /// The elements of an array.
    pub fn array(&self) -> Option<&[Self]> {
        if let Body::Array(items) = &self.body { Some(items) } else { None }
    }

    /// The members of an object.
    pub fn object(&self) -> Option<&[Member<'a>]> {
        if let Body::Object(members) = &self.body { Some(members) } else { None }
    }

    /// The value of an object's member.
    pub fn member(&self, key: &str) -> Option<&Self> {
        self.object()?.iter().find(|member| member.key == key).map(|member| &member.value)
    }

    /// Whether it is neither an array nor an object.
    pub fn is_scalar(&self) -> bool {
        matches!(self.body, Body::String | Body::Literal)
    }
}

/// Reads a document; a byte order mark in front is passed over.
pub(in crate::merge) fn parse(bytes: &[u8]) -> Result<Document<'_>, Flaw> {
    let text = std::str::from_utf8(bytes)
        .map_err(|error| Flaw { problem: "it is not valid UTF-8", at: error.valid_up_to() })?;
    let stripped = text.strip_prefix('\u{feff}');
    let mut reader = Reader { text: stripped.unwrap_or(text), at: 0, depth: 0, values: 0 };
    reader.space();
    let root = reader.value()?;
    reader.space();
    if reader.at < reader.text.len() {
        return Err(reader.flaw("something follows the end of the document"));
    }
    Ok(Document { text: reader.text, bom: stripped.is_some(), values: reader.values, root })
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
    values: usize,
}

impl<'a> Reader<'a> {
    fn flaw(&self, problem: &'static str) -> Flaw {
        Flaw { problem, at: self.at }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn value(&mut self) -> Result<Node<'a>, Flaw> {
        self.values += 1;
        if self.values > VERSION_VALUES_MAX {
            return Err(self.flaw(TOO_MANY));
        }
        if self.depth == DEPTH_MAX {
            return Err(self.flaw("values are nested too deeply"));
        }
        let start = self.at;
        self.depth += 1;
        let (body, digest) = match self.peek() {
            Some(b'{') => self.object()?,
            Some(b'[') => self.array()?,
            Some(b'"') => {
                let text = self.string()?;
                let digest = tagged(b's', [text.as_bytes()]);
                (Body::String, digest)
            }
            _ => {
                self.literal()?;
                (Body::Literal, tagged(b'l', [&self.text.as_bytes()[start..self.at]]))
            }
        };
        self.depth -= 1;
        Ok(Node { raw: &self.text[start..self.at], start, digest, body })
    }

    fn object(&mut self) -> Result<(Body<'a>, Digest), Flaw> {
        let mut members: Vec<Member<'a>> = Vec::new();
        self.at += 1;
        self.space();
        while !self.eat(b'}') {
            if !members.is_empty() {
                self.separator(b'}')?;
            }
            let start = self.at;
            if self.peek() != Some(b'"') {
                return Err(self.flaw("a key in quotes is missing"));
            }
            let key = self.string()?;
            let name = &self.text[start..self.at];
            self.space();
            if !self.eat(b':') {
                return Err(self.flaw("a colon is missing after a key"));
            }
            self.space();
            let value = self.value()?;
            members.push(Member { name, start, key, value });
            self.space();
        }
        let mut sorted: Vec<&Member<'_>> = members.iter().collect();
        sorted.sort_by(|a, b| a.key.cmp(&b.key));
        if let Some(twice) = sorted.windows(2).find(|pair| pair[0].key == pair[1].key) {
            return Err(Flaw { problem: "a key stands twice in one object", at: twice[1].start });
        }
        let parts = sorted.iter().flat_map(|member| [member.key.as_bytes(), &member.value.digest.0]);
        let digest = tagged(b'o', parts);
        Ok((Body::Object(members), digest))
    }

    fn array(&mut self) -> Result<(Body<'a>, Digest), Flaw> {
        let mut items: Vec<Node<'a>> = Vec::new();
        self.at += 1;
        self.space();
        while !self.eat(b']') {
            if !items.is_empty() {
                self.separator(b']')?;
            }
            items.push(self.value()?);
            self.space();
        }
        let digest = tagged(b'a', items.iter().map(|item| &item.digest.0[..]));
        Ok((Body::Array(items), digest))
    }

    /// A comma between two elements; none may stand before the end.
    fn separator(&mut self, end: u8) -> Result<(), Flaw> {
        if !self.eat(b',') {
            return Err(self.flaw("a comma or the end of a list is missing"));
        }
        self.space();
        if self.peek() == Some(end) {
            Err(self.flaw("a comma stands before the end of a list"))
        } else {
            Ok(())
        }
    }

    fn literal(&mut self) -> Result<(), Flaw> {
        for word in ["true", "false", "null"] {
            if self.text[self.at..].starts_with(word) {
                self.at += word.len();
                return Ok(());
            }
        }
        self.eat(b'-');
        if !self.eat(b'0') {
            self.digits()?;
        }
        if self.eat(b'.') {
            self.digits()?;
        }
        if self.eat(b'e') || self.eat(b'E') {
            _ = self.eat(b'+') || self.eat(b'-');
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), Flaw> {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        if self.at == start { Err(self.flaw("a value is missing or misspelt")) } else { Ok(()) }
    }

    fn string(&mut self) -> Result<Cow<'a, str>, Flaw> {
        self.at += 1;
        let mut decoded: Option<String> = None;
        loop {
            let start = self.at;
            while self.peek().is_some_and(|byte| byte >= b' ' && byte != b'"' && byte != b'\\') {
                self.at += 1;
            }
            let plain = &self.text[start..self.at];
            match (self.peek(), &mut decoded) {
                (Some(b'"'), None) => {
                    self.at += 1;
                    return Ok(Cow::Borrowed(plain));
                }
                (Some(b'"'), Some(_)) => {
                    self.at += 1;
                    let mut whole = decoded.unwrap_or_default();
                    whole.push_str(plain);
                    return Ok(Cow::Owned(whole));
                }
                (Some(b'\\'), _) => {
                    self.at += 1;
                    let character = self.escape()?;
                    let whole = decoded.get_or_insert_default();
                    whole.push_str(plain);
                    whole.push(character);
                }
                (Some(_), _) => return Err(self.flaw("a string holds a control character")),
                (None, _) => return Err(self.flaw("a string has no end")),
            }
        }
    }

    fn escape(&mut self) -> Result<char, Flaw> {
        let Some(byte) = self.peek() else { return Err(self.flaw("a string has no end")) };
        let plain = match byte {
            b'"' | b'\\' | b'/' => char::from(byte),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                self.at += 1;
                return self.unicode();
            }
            _ => return Err(self.flaw("an escape is unknown")),
        };
        self.at += 1;
        Ok(plain)
    }

    fn unicode(&mut self) -> Result<char, Flaw> {
        let broken = self.flaw("an escape is half of a pair");
        let first = self.hex()?;
        if !(0xd800..0xe000).contains(&first) {
            return char::from_u32(first).ok_or(broken);
        }
        if !(self.eat(b'\\') && self.eat(b'u')) {
            return Err(broken);
        }
        let second = self.hex()?;
        char::decode_utf16([first, second].map(|unit| unit as u16)).next().and_then(Result::ok).ok_or(broken)
    }

    fn hex(&mut self) -> Result<u32, Flaw> {
        let digits = self.text.as_bytes().get(self.at..self.at + 4);
        let digits = digits.filter(|digits| digits.iter().all(u8::is_ascii_hexdigit));
        let unit = digits.and_then(|digits| u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        let Some(unit) = unit else { return Err(self.flaw("an escape needs four hexadecimal digits")) };
        self.at += 4;
        Ok(unit)
    }
}

/// A digest that keeps kinds and lengths apart.
fn tagged<'a>(tag: u8, parts: impl IntoIterator<Item = &'a [u8]>) -> Digest {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&[tag]);
    for part in parts {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    Digest::from(hasher.finalize())
}
