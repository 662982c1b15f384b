//! Who asks, and what that allows.

use axum::http::Extensions;
use syncline_service::Scope;

/// What the caller of a request may do; whatever tells callers apart puts it among the extensions of the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Scopes(pub(crate) Vec<Scope>);

/// Whether the caller of a request may do what has this scope.
///
/// Without anything that tells callers apart, whoever can reach the server may do everything: that is this machine alone.
pub(crate) fn may(extensions: &Extensions, scope: Scope) -> bool {
    extensions.get::<Scopes>().is_none_or(|Scopes(scopes)| scopes.contains(&scope))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_scopes_may_do_no_more_than_they_allow() {
        let mut extensions = Extensions::new();
        assert!(may(&extensions, Scope::Admin));
        extensions.insert(Scopes(vec![Scope::Read]));
        assert!(may(&extensions, Scope::Read) && !may(&extensions, Scope::Write));
        extensions.insert(Scopes(Vec::new()));
        assert!(!may(&extensions, Scope::Read));
    }
}
