//! What a workflow is to do: which targets are due when, what they need, and what they may write.

use std::collections::BTreeSet;

use syncline_config::{Target, Workspace};
use syncline_core::order::order;
use syncline_core::{Direction, Resolution, Schedule};

use super::cron;

/// Variables that the steps of a workflow use themselves.
const OWN: [&str; 5] = ["SYNC_TARGETS", "SYNC_DIRECTION", "SYNC_TARGET", "SYNC_DRY_RUN", "SYNC_VERIFY"];

/// What a runner sets: a secret of this name would take it away.
const OF_RUNNER: [&str; 5] = ["HOME", "PATH", "USER", "CI", "SHELL"];

/// What a workflow is to do.
#[derive(Debug, Default)]
pub(crate) struct Agenda {
    /// What is due when; in the order in which the schedules come up first.
    pub(crate) due: Vec<Due>,
    /// The secrets of all targets.
    pub(crate) secrets: Vec<String>,
    /// Whether a target may commit to the repository.
    pub(crate) commits: bool,
    /// What the workflow will not do as it was meant.
    pub(crate) warnings: Vec<String>,
}

/// The targets of a schedule.
#[derive(Debug)]
pub(crate) struct Due {
    /// Five fields of cron.
    pub(crate) cron: String,
    /// Names, in the order of the file.
    pub(crate) targets: Vec<String>,
    /// The variables that they refer to.
    pub(crate) secrets: Vec<String>,
}

impl Agenda {
    /// What a workspace asks for.
    pub(crate) fn of(workspace: &Workspace) -> Self {
        let mut agenda = Self::default();
        for target in &workspace.targets {
            let secrets = agenda.secrets_of(target);
            add(&mut agenda.secrets, &secrets);
            agenda.commits |= pushes_here(target);
            agenda.schedule(target, &secrets);
        }
        let lost = workspace.targets.iter().filter(|target| agenda.is_lost(target, workspace));
        let lost = lost.map(|target| {
            format!(
                "{}: what it brings into the workspace ends with the job, because neither \
                 `git_commit: commit_and_push` nor a target of the kind `upstream` that runs with it keeps it",
                target.name
            )
        });
        let lost: Vec<String> = lost.collect();
        agenda.warnings.extend(lost);
        agenda.warn_of_strangers(workspace);
        agenda.warn_of_crowds();
        agenda
    }

    fn schedule(&mut self, target: &Target, secrets: &[String]) {
        let Some(schedule) = &target.schedule else { return };
        let told = cron::cron(schedule);
        if matches!(schedule, Schedule::Cron(_)) && target.timezone != "UTC" {
            let message = format!(
                "{}: GitHub counts in UTC, and its schedule is one of {}: `{schedule}` is taken for UTC",
                target.name, target.timezone
            );
            self.warnings.push(message);
        }
        self.warnings.extend(told.warning.map(|warning| format!("{}: {warning}", target.name)));
        let Some(cron) = told.fields else { return };
        let at = self.due.iter().position(|due| due.cron == cron).unwrap_or_else(|| {
            self.due.push(Due { cron, targets: Vec::new(), secrets: Vec::new() });
            self.due.len() - 1
        });
        self.due[at].targets.push(target.name.clone());
        add(&mut self.due[at].secrets, secrets);
    }

    /// The variables that a target refers to and a repository can have as secrets.
    fn secrets_of(&mut self, target: &Target) -> Vec<String> {
        for file in target.remote.secret_files() {
            self.warnings
                .push(format!("{}: the runner has no file {file:?} unless it is committed", target.name));
        }
        let mut secrets = Vec::new();
        for name in target.remote.variables() {
            let upper = name.to_ascii_uppercase();
            let by_runner = OF_RUNNER.contains(&upper.as_str())
                || upper.starts_with("RUNNER_")
                || (upper.starts_with("GITHUB_") && upper != "GITHUB_TOKEN");
            let is_word = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
                && !name.starts_with(|c: char| c.is_ascii_digit());
            if by_runner {
                continue;
            }
            if !is_word || OWN.contains(&upper.as_str()) {
                let message =
                    format!("{}: no secret of a repository can have the name {name:?}", target.name);
                self.warnings.push(message);
                continue;
            }
            let alike = self.secrets.iter().find(|known| known.eq_ignore_ascii_case(name) && *known != name);
            if let Some(known) = alike {
                // GitHub does not tell small letters from capital ones in names.
                let message = format!("{}: to GitHub, {name:?} is the same secret as {known:?}", target.name);
                self.warnings.push(message);
                continue;
            }
            secrets.push(name.to_owned());
        }
        secrets
    }

    /// Whether a run of a target changes files of the workspace, and nothing keeps them when the job ends.
    fn is_lost(&self, target: &Target, workspace: &Workspace) -> bool {
        let pushed = target.git_commit.as_ref().is_some_and(|commit| commit.push);
        if target.direction == Direction::Push || target.remote.kind == "upstream" || pushed {
            return false;
        }
        let together = |other: &Target| {
            let due =
                |name: &str| self.due.iter().position(|due| due.targets.iter().any(|known| known == name));
            target.schedule.is_none() || due(&target.name) == due(&other.name)
        };
        let standings: Vec<_> = workspace.targets.iter().map(Target::standing).collect();
        let in_order = order(&standings).into_iter().map(|index| &workspace.targets[index]);
        let later = in_order.skip_while(|other| other.name != target.name);
        !later.filter(|other| keeps(other) && together(other)).any(|other| holds(other, target))
    }

    /// A runner has a fresh checkout, which nothing was agreed on with: unless a side wins, what differs is a conflict.
    fn warn_of_strangers(&mut self, workspace: &Workspace) {
        let decides = |target: &&Target| {
            let mut rules = target.conflicts.iter();
            rules.any(|rule| matches!(rule.resolution(), Resolution::Prefer(_) | Resolution::Newest))
        };
        let only_sends = |target: &&Target| target.script.is_some() && target.direction == Direction::Push;
        let asking = workspace.targets.iter().filter(|target| !decides(target) && !only_sends(target));
        let names: Vec<&str> = asking.map(|target| target.name.as_str()).collect();
        if !names.is_empty() {
            self.warnings.push(format!(
                "{}: in a fresh checkout, what differs from the other side is a conflict unless a side wins: write \
                 `conflicts: [{{ match: \"**\", policy: prefer, side: remote }}]` for what is pulled, `local` for what is \
                 pushed",
                names.join(", ")
            ));
        }
    }

    /// GitHub keeps one run waiting while another is going on, and drops the ones before it.
    fn warn_of_crowds(&mut self) {
        let minutes: Vec<BTreeSet<u32>> =
            self.due.iter().map(|due| cron::minutes_of_day(&due.cron)).collect();
        let at = |minute: u32| -> Vec<usize> {
            (0..minutes.len()).filter(|&index| minutes[index].contains(&minute)).collect()
        };
        let Some(crowd) = (0..24 * 60).map(at).find(|due| due.len() > 2) else { return };
        let crons: Vec<String> = crowd.iter().map(|&index| format!("`{}`", self.due[index].cron)).collect();
        self.warnings.push(format!(
            "the schedules {} may fall on the same minute: GitHub keeps only one run waiting and drops the others; \
             move them apart",
            crons.join(", ")
        ));
    }
}

/// Adds what is not there yet.
fn add(all: &mut Vec<String>, more: &[String]) {
    for name in more {
        if !all.iter().any(|known| known == name) {
            all.push(name.clone());
        }
    }
}

/// Whether a target may push commits to the repository that the workflow runs in.
fn pushes_here(target: &Target) -> bool {
    let with_own_token = || target.remote.kind == "git" && target.remote.variables().contains("GITHUB_TOKEN");
    let pushes = target.git_commit.as_ref().is_some_and(|commit| commit.push);
    pushes || target.direction != Direction::Pull && (keeps(target) || with_own_token())
}

/// Whether a target commits files of the workspace and pushes them to where they were checked out from.
fn keeps(target: &Target) -> bool {
    let commit = target.remote.settings.get("commit").and_then(|commit| commit.as_str());
    target.direction != Direction::Pull
        && target.remote.kind == "upstream"
        && matches!(commit, None | Some("commit_and_push" | "propose"))
}

/// Whether what a target brings in lies in the folder of another one.
fn holds(outer: &Target, inner: &Target) -> bool {
    let Some(folder) = outer.path.as_ref().map(|path| path.as_str()) else { return true };
    let below =
        |path: &str| path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    match &inner.script {
        Some(script) => script.outputs.iter().all(|output| below(output)),
        None => inner.path.as_ref().is_some_and(|path| below(path.as_str())),
    }
}
