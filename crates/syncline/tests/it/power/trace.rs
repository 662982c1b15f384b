//! Reading what `strace` wrote: every call on files that ended well, in the order in which they ended.

use std::collections::HashMap;

/// What `strace` is to write so that it can be read here: all data, as hexadecimal digits, and all paths.
pub(super) const OPTIONS: [&str; 8] =
    ["-f", "-qq", "-y", "-xx", "-s", "16777216", "-e", "trace=%file,%desc,sync,msync,chdir,fork,vfork"];

/// One system call that did not fail, or was made to.
pub(super) struct Call {
    pub(super) name: String,
    /// How many calls had ended when this one began: only their effects are surely seen by it.
    pub(super) began: usize,
    /// Whether `strace` let it fail.
    pub(super) injected: bool,
    arguments: Vec<String>,
    result: String,
}

impl Call {
    /// The text of an argument, such as flags or a number.
    pub(super) fn text(&self, at: usize) -> &str {
        self.arguments.get(at).map_or("", String::as_str)
    }

    /// Whether a flag is among the arguments.
    pub(super) fn shows(&self, flag: &str) -> bool {
        self.arguments.iter().any(|argument| argument.contains(flag))
    }

    pub(super) fn number(&self, at: usize) -> u64 {
        let text = self.text(at);
        let octal = text.strip_prefix('0').filter(|rest| !rest.is_empty());
        let number = octal.map_or_else(|| text.parse(), |rest| u64::from_str_radix(rest, 8));
        number.unwrap_or_else(|_| panic!("{} has {text:?} for a number", self.name))
    }

    /// The bytes of an argument that is a string.
    pub(super) fn bytes(&self, at: usize) -> Vec<u8> {
        let text = self.text(at);
        let inner = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
        // An ellipsis would mean that the data was cut.
        unescaped(inner.unwrap_or_else(|| panic!("{} has {text:?} for a string", self.name)))
    }

    /// The number that the call returned.
    pub(super) fn returned(&self) -> u64 {
        let end = self.result.find(|c: char| !c.is_ascii_digit()).unwrap_or(self.result.len());
        self.result[..end].parse().unwrap_or_else(|_| panic!("{} returned {:?}", self.name, self.result))
    }

    /// The path of what the call opened.
    pub(super) fn opened(&self) -> Option<String> {
        path_of(&self.result)
    }

    /// The number of an open file.
    pub(super) fn descriptor(&self, at: usize) -> u64 {
        let text = self.text(at);
        text[..text.find('<').unwrap_or(text.len())].parse().unwrap_or(u64::MAX)
    }

    /// The path of an open file; `None` when it has none (any more).
    pub(super) fn file(&self, at: usize) -> Option<String> {
        path_of(self.text(at))
    }

    /// The path that a directory and a name make.
    pub(super) fn at(&self, directory: usize, name: usize) -> String {
        let name = String::from_utf8(self.bytes(name)).unwrap();
        if name.starts_with('/') {
            return normal(&name);
        }
        let above = self.file(directory).unwrap_or_else(|| panic!("{} in an unknown directory", self.name));
        normal(&format!("{above}/{name}"))
    }

    /// The path of an argument that is an absolute one.
    pub(super) fn path(&self, at: usize) -> String {
        let path = String::from_utf8(self.bytes(at)).unwrap();
        assert!(path.starts_with('/'), "{} with the relative path {path}", self.name);
        normal(&path)
    }
}

/// The folder in which the traced program was started: its first relative look tells.
pub(super) fn working_directory(log: &str) -> String {
    let at = log.find("AT_FDCWD<").expect("a path relative to the working directory");
    path_of(&log[at..]).unwrap()
}

/// Reads a trace.
pub(super) fn calls(log: &str) -> Vec<Call> {
    let mut calls = Vec::new();
    let mut unfinished: HashMap<&str, (String, usize)> = HashMap::new();
    for line in log.lines() {
        let (thread, text) = line.split_once(' ').unwrap();
        let text = text.trim_start();
        if let Some(start) = text.strip_suffix("<unfinished ...>") {
            unfinished.insert(thread, (start.to_owned(), calls.len()));
            continue;
        }
        // A thread that ends with the program may never come back from its last call.
        if text.starts_with("+++") || text.starts_with("---") || text.ends_with("<detached ...>") {
            continue;
        }
        let (text, began) = match text.strip_prefix("<... ") {
            Some(rest) => {
                let (_, end) = rest.split_once(" resumed>").unwrap();
                let (start, began) = unfinished.remove(thread).unwrap();
                (start + end, began)
            }
            None => (text.to_owned(), calls.len()),
        };
        calls.extend(call(&text, began));
    }
    calls
}

/// Reads one call; `None` when it failed by itself.
fn call(text: &str, began: usize) -> Option<Call> {
    let (name, rest) = text.split_once('(')?;
    let (arguments, result) = rest.rsplit_once(" = ").unwrap_or_else(|| panic!("not understood: {text}"));
    let injected = result.ends_with("(INJECTED)");
    if !injected && (result.starts_with('-') || result.starts_with('?')) {
        return None;
    }
    let arguments = arguments.trim_end().strip_suffix(')').unwrap_or_else(|| panic!("no end: {text}"));
    let (name, arguments, result) = (name.to_owned(), split(arguments), result.to_owned());
    Some(Call { name, began, injected, arguments, result })
}

/// Splits at commas that are not within brackets. Strings hold none, since all their bytes are hexadecimal.
fn split(text: &str) -> Vec<String> {
    let (mut parts, mut depth) = (vec![String::new()], 0);
    for c in text.chars() {
        match c {
            '[' | '{' | '(' => depth += 1,
            ']' | '}' | ')' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(String::new());
                continue;
            }
            _ => {}
        }
        parts.last_mut().unwrap().push(c);
    }
    parts.into_iter().map(|part| part.trim().to_owned()).collect()
}

/// The path behind a descriptor, as in `3<\x2f\x61>`.
fn path_of(text: &str) -> Option<String> {
    let (_, rest) = text.split_once('<')?;
    let (path, after) = rest.split_once('>')?;
    let gone = after.starts_with("(deleted)");
    let path = String::from_utf8(unescaped(path)).ok()?;
    (!gone && path.starts_with('/')).then_some(path)
}

fn unescaped(text: &str) -> Vec<u8> {
    let digits = text.split("\\x").skip(1);
    digits.map(|two| u8::from_str_radix(two, 16).unwrap_or_else(|_| panic!("{two:?} is no byte"))).collect()
}

/// The path without `.` and `..`; no directory of the scenario is a link.
fn normal(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}
