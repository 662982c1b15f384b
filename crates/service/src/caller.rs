//! Who asks, and what they may.

use std::collections::BTreeSet;
use std::fmt;

use crate::operation::Scope;
use crate::problem::{Class, Problem, Result};

/// The name of whoever may do what a shell may.
const LOCAL: &str = "local";

/// Whoever asks for a use case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// What tells it from everybody else, also from those who were called so before: the identifier of its token, which is
    /// no secret, or `local`.
    pub id: String,
    /// What people call it: the name of its token, or `local`, which no token is called.
    pub name: String,
    /// What it may.
    pub scopes: BTreeSet<Scope>,
    /// Names or globs of the targets that there are for it; all targets when there are none.
    pub targets: Vec<String>,
}

impl Caller {
    /// Somebody who may do what a shell of this machine may: everything.
    #[must_use]
    pub fn local() -> Self {
        Self {
            id: LOCAL.to_owned(),
            name: LOCAL.to_owned(),
            scopes: BTreeSet::from([Scope::Admin]),
            targets: Vec::new(),
        }
    }

    /// Whether it is somebody at a shell of this machine, or as good as that.
    #[must_use]
    pub fn is_local(&self) -> bool {
        self.name == LOCAL
    }

    /// Whether it may do what needs a scope: whoever may do anything may look, and `admin` is everything.
    #[must_use]
    pub fn may(&self, scope: Scope) -> bool {
        match scope {
            Scope::Read => !self.scopes.is_empty(),
            scope => self.scopes.contains(&scope) || self.scopes.contains(&Scope::Admin),
        }
    }

    /// Whether there are only some targets for it.
    #[must_use]
    pub fn is_limited(&self) -> bool {
        !self.targets.is_empty()
    }

    /// Refuses it what tells of all targets when it is limited to some.
    ///
    /// # Errors
    /// When it is.
    pub fn check_all_targets(&self) -> Result<()> {
        if !self.is_limited() {
            return Ok(());
        }
        let message = format!("this tells of all targets, and the token {:?} is limited to some", self.name);
        Err(Problem::new(Class::Denied, "forbidden", message))
    }

    /// Refuses what it may not do.
    ///
    /// # Errors
    /// When none of its scopes allows it.
    pub fn check(&self, scope: Scope) -> Result<()> {
        if self.may(scope) {
            return Ok(());
        }
        let message = format!("the token {:?} does not have the scope `{scope}`", self.name);
        Err(Problem::new(Class::Denied, "forbidden", message)
            .with_hint(format!("`syncline token create --scope {scope}` makes one that has")))
    }
}

/// Whether a token may be called so: it would be taken for somebody else, or for no name.
pub(crate) fn is_token_name(name: &str) -> bool {
    syncline_config::is_name(name) && name != LOCAL
}

impl Scope {
    /// All of them, from what allows least.
    pub const ALL: [Self; 4] = [Self::Read, Self::Run, Self::Resolve, Self::Admin];

    /// Its word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Run => "run",
            Self::Resolve => "resolve",
            Self::Admin => "admin",
        }
    }

    /// The scope of a word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.word() == word)
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_allows_itself_and_looking_and_admin_everything() {
        for has in Scope::ALL {
            let caller = Caller { scopes: BTreeSet::from([has]), ..Caller::local() };
            for needs in Scope::ALL {
                let allowed = needs == Scope::Read || needs == has || has == Scope::Admin;
                assert_eq!(caller.may(needs), allowed, "{has} for {needs}");
                assert_eq!(caller.check(needs).is_ok(), allowed);
            }
        }
        let nobody = Caller { scopes: BTreeSet::new(), ..Caller::local() };
        assert!(!nobody.may(Scope::Read), "whoever may nothing may not look either");
    }

    #[test]
    fn words_lead_back_and_no_token_is_taken_for_a_shell() {
        assert!(Scope::ALL.into_iter().all(|scope| Scope::from_word(scope.word()) == Some(scope)));
        assert_eq!(Scope::from_word("write"), None);
        assert!(is_token_name("deploy-bot") && !is_token_name("local") && !is_token_name("a b"));
    }
}
