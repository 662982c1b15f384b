//! What Rust sources may not hold: suppressed lints, left-over macros, functions that fill more than a screen.

use proc_macro2::{Span, TokenStream, TokenTree};
use syn::spanned::Spanned;
use syn::visit::{self, Visit};

use super::{Finding, is_test};
use crate::repository::SourceFile;

/// Most lines of a function, its signature included.
const LINES_MAX: usize = 70;
/// Most lines of a function of test code: a table of cases is best read in one piece.
const TEST_LINES_MAX: usize = 120;

/// Macros that a finished function does not hold.
const MACROS: [&str; 3] = ["todo", "unimplemented", "dbg"];

/// Finds what a Rust source may not hold.
pub(super) fn file(file: &SourceFile) -> Vec<Finding> {
    if !file.path.ends_with(".rs") {
        return Vec::new();
    }
    let syntax = match syn::parse_file(&file.text) {
        Ok(syntax) => syntax,
        Err(error) => {
            let line = error.span().start().line;
            return vec![Finding::new(&file.path, line, format!("cannot be parsed: {error}"))];
        }
    };
    let mut visitor = Visitor { file, in_tests: is_test(&file.path), found: Vec::new() };
    visitor.visit_file(&syntax);
    visitor.found
}

struct Visitor<'a> {
    file: &'a SourceFile,
    in_tests: bool,
    found: Vec<Finding>,
}

impl Visitor<'_> {
    fn note(&mut self, at: Span, message: String) {
        self.found.push(Finding::new(&self.file.path, at.start().line, message));
    }

    fn function(&mut self, name: &syn::Ident, from: Span, to: Span) {
        let lines = to.end().line + 1 - from.start().line;
        let lines_max = if self.in_tests { TEST_LINES_MAX } else { LINES_MAX };
        if lines > lines_max {
            self.note(
                from,
                format!("the function `{name}` has {lines} lines, more than {lines_max}; split it"),
            );
        }
    }

    /// Looks through the tokens of a macro call, which are not parsed.
    fn tokens(&mut self, tokens: TokenStream) {
        let mut tokens = tokens.into_iter().peekable();
        while let Some(token) = tokens.next() {
            match token {
                TokenTree::Ident(name) => {
                    let called =
                        matches!(tokens.peek(), Some(TokenTree::Punct(mark)) if mark.as_char() == '!');
                    if called {
                        self.macro_name(&name);
                    }
                }
                TokenTree::Group(group) => self.tokens(group.stream()),
                _ => {}
            }
        }
    }

    fn macro_name(&mut self, name: &syn::Ident) {
        if MACROS.iter().any(|bad| name == bad) {
            self.note(name.span(), format!("`{name}!` does not belong into finished code"));
        }
    }

    fn attribute(&mut self, at: Span, meta: &syn::Meta) {
        if meta.path().is_ident("cfg_attr") {
            if let Ok(list) = meta.require_list()
                && let Ok(parts) = list.parse_args_with(
                    syn::punctuated::Punctuated::<syn::Meta, syn::Token![,]>::parse_terminated,
                )
            {
                parts.iter().skip(1).for_each(|part| self.attribute(at, part));
            }
            return;
        }
        if meta.path().is_ident("allow") {
            let message = "`allow` hides a lint for ever; write `#[expect(…, reason = \"…\")]`";
            self.note(at, message.to_owned());
        } else if meta.path().is_ident("expect") {
            let reasoned = meta.require_list().is_ok_and(|list| list.tokens.to_string().contains("reason ="));
            if !reasoned {
                self.note(at, "`expect` needs a reason: `#[expect(…, reason = \"…\")]`".to_owned());
            }
        }
    }
}

impl<'ast> Visit<'ast> for Visitor<'_> {
    fn visit_attribute(&mut self, attribute: &'ast syn::Attribute) {
        self.attribute(attribute.span(), &attribute.meta);
        visit::visit_attribute(self, attribute);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        if let Some(last) = call.path.segments.last() {
            self.macro_name(&last.ident);
        }
        self.tokens(call.tokens.clone());
    }

    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        let before = self.in_tests;
        let is_test = |attribute: &syn::Attribute| {
            attribute.path().is_ident("cfg")
                && attribute.meta.require_list().is_ok_and(|list| list.tokens.to_string() == "test")
        };
        self.in_tests |= module.attrs.iter().any(is_test);
        visit::visit_item_mod(self, module);
        self.in_tests = before;
    }

    fn visit_item_fn(&mut self, function: &'ast syn::ItemFn) {
        self.function(&function.sig.ident, function.sig.span(), function.block.span());
        visit::visit_item_fn(self, function);
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        self.function(&function.sig.ident, function.sig.span(), function.block.span());
        visit::visit_impl_item_fn(self, function);
    }

    fn visit_trait_item_fn(&mut self, function: &'ast syn::TraitItemFn) {
        if let Some(block) = &function.default {
            self.function(&function.sig.ident, function.sig.span(), block.span());
        }
        visit::visit_trait_item_fn(self, function);
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{files, messages};
    use super::*;

    fn found(text: &str) -> Vec<String> {
        messages(&file(&files(&[("crates/core/src/a.rs", text)])[0]))
    }

    #[test]
    fn suppressed_lints_are_found() {
        assert_eq!(found("#[allow(dead_code)]\nfn f() {}").len(), 1);
        assert_eq!(found("#![allow(dead_code)]\n").len(), 1);
        assert_eq!(found("#[cfg_attr(test, allow(dead_code))]\nfn f() {}").len(), 1);
        assert_eq!(found("#[expect(dead_code)]\nfn f() {}").len(), 1);
        assert_eq!(found("#[expect(dead_code, reason = \"kept\")]\nfn f() {}"), [""; 0]);
    }

    #[test]
    fn left_over_macros_are_found_wherever_they_are() {
        assert_eq!(found("fn f() { todo!() }").len(), 1);
        assert_eq!(found("fn f() { std::unimplemented!() }").len(), 1);
        assert_eq!(found("fn f() { assert!(dbg!(true)); }").len(), 1);
        assert_eq!(found("fn f() { let todo = 1; assert!(todo == 1); }"), [""; 0]);
    }

    #[test]
    fn long_functions_are_found_and_those_of_tests_may_be_longer() {
        let body = "let _ = 1;\n".repeat(69);
        assert_eq!(found(&format!("fn f() {{\n{body}}}")).len(), 1);
        assert_eq!(found(&format!("struct S; impl S {{ fn f() {{\n{body}}} }}")).len(), 1);
        assert_eq!(found(&format!("trait T {{ fn f() {{\n{body}}} }}")).len(), 1);
        assert_eq!(found(&format!("#[cfg(test)] mod tests {{ fn f() {{\n{body}}} }}")), [""; 0]);
        let body = "let _ = 1;\n".repeat(68);
        assert_eq!(found(&format!("/// Long.\nfn f() {{\n{body}}}")), [""; 0]);
    }

    #[test]
    fn what_is_no_rust_is_found() {
        assert_eq!(found("fn f( {}").len(), 1);
    }
}
