//! The gate for secrets: what a plan would send is searched before anything leaves.
//!
//! It is searched at the version that is going to be sent, so whatever changes afterwards is refused by its step and
//! planned, and searched, anew.

use std::collections::HashSet;
use std::io::Read;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use syncline_connect::{Content, Endpoint, ErrorKind};
use syncline_core::secrets::{ALLOW_MARKER, PatternError, SCAN_BYTES_MAX, Scanner, SecretFinding};
use syncline_core::{Action, Digest, Halt, ItemPath, Plan, Problem, Seen, Side, Source, Step, Version};
use syncline_store::Objects;

use crate::context::{Context, Event, Options, Target};
use crate::look::{View, unreadable};
use crate::spread::spread;

/// How many places are told one by one.
const PLACES_MAX: usize = 20;

/// What is looked for in everything that leaves.
#[derive(Debug)]
pub struct SecretScan {
    patterns: Vec<String>,
    baseline: PathBuf,
    name: String,
    /// Made when something is about to leave: most runs send nothing.
    scanner: OnceLock<Result<Arc<Scanner>, PatternError>>,
}

impl SecretScan {
    /// Looks for the built-in kinds of secrets and for `patterns`. The file `baseline`, which people know as `name`, holds
    /// the fingerprints of what is allowed: one in a line, and whatever follows it there is for people.
    #[must_use]
    pub const fn new(patterns: Vec<String>, baseline: PathBuf, name: String) -> Self {
        Self { patterns, baseline, name, scanner: OnceLock::new() }
    }

    fn scanner(&self) -> Result<Arc<Scanner>, PatternError> {
        self.scanner.get_or_init(|| Scanner::new(&self.patterns).map(Arc::new)).clone()
    }

    /// The fingerprints that are allowed. One that cannot be read allows nothing.
    fn allowed(&self) -> HashSet<String> {
        let text = std::fs::read_to_string(&self.baseline).unwrap_or_default();
        let words = text.lines().filter_map(|line| line.split_whitespace().next());
        words.map(str::to_ascii_lowercase).collect()
    }
}

/// Searches what a plan would send. What is found halts it; `false` when content could not be read: then the view says
/// so, and the plan has to be made anew.
pub(crate) async fn search(
    context: &Context,
    target: &Target,
    options: &Options,
    plan: &mut Plan,
    view: &mut View,
) -> bool {
    let gates = target.gates.as_deref();
    // What is put back to what it was has been there before.
    let scan = gates.and_then(|gates| gates.secrets.as_ref()).filter(|_| options.choices.desired.is_empty());
    let Some(scan) = scan else { return true };
    let outgoing: Vec<Outgoing> = plan.steps.iter().filter_map(|step| outgoing(step, view)).collect();
    if outgoing.is_empty() {
        return true;
    }
    let scanner = match scan.scanner() {
        Ok(scanner) => scanner,
        Err(error) => {
            plan.halts.push(halt(format!("what is about to leave cannot be searched for secrets: {error}")));
            return true;
        }
    };
    let mut found = Vec::new();
    let mut unread = Vec::new();
    for (path, searched) in search_all(context, target, scanner, outgoing).await {
        match searched {
            Ok(findings) => found.extend(findings.into_iter().map(|finding| (path.clone(), finding))),
            Err(problem) => unread.push((path, problem)),
        }
    }
    if !found.is_empty() {
        let allowed = scan.allowed();
        found.retain(|(_, finding)| !allowed.contains(&finding.fingerprint));
    }
    if !found.is_empty() {
        plan.halts.push(halt(message(&found, &scan.name)));
        return true;
    }
    unread.into_iter().fold(true, |stands, (path, problem)| !leave_out(&path, problem, plan, view) && stands)
}

async fn search_all(
    context: &Context,
    target: &Target,
    scanner: Arc<Scanner>,
    outgoing: Vec<Outgoing>,
) -> Vec<(ItemPath, Result<Vec<SecretFinding>, Problem>)> {
    let items = outgoing.len() as u64;
    context.events.happened(&Event::Searching { target: target.name.clone(), items });
    let (local, objects) = (Arc::clone(&target.endpoints.local), context.store.objects().clone());
    let progress = context.events.progress();
    let search = move |item: Outgoing| {
        let (local, objects) = (Arc::clone(&local), objects.clone());
        let (scanner, progress) = (Arc::clone(&scanner), Arc::clone(&progress));
        async move {
            let searched = match item.read(&local, &objects).await {
                Ok(bytes) => Ok(scanner.scan(&bytes)),
                // Its step will be refused for the same reason.
                Err(error) if matches!(error.kind(), ErrorKind::Changed | ErrorKind::NotFound) => {
                    Ok(Vec::new())
                }
                Err(error) => Err(unreadable(item.path.as_str(), &error)),
            };
            progress.add(1, 0);
            (item.path, searched)
        }
    };
    spread(context.workers, outgoing, search).await
}

/// Content that is about to leave.
struct Outgoing {
    /// Its path in the workspace's part of the target.
    path: ItemPath,
    from: Place,
}

enum Place {
    Local(Version),
    Object(Digest),
}

/// What a step sends, when it sends something that can be searched.
fn outgoing(step: &Step, view: &View) -> Option<Outgoing> {
    let Action::Write { item, source } = &step.action else { return None };
    let (path, from) = match source {
        _ if step.side == Side::Local => return None,
        Source::Nothing => return None,
        Source::Opposite { path, version } => (path, Place::Local(version.clone())),
        // What is merged is not there yet. What of it is ours stands in our version; the rest comes from there.
        Source::Object(digest) => match view.merges.get(digest) {
            Some(need) => (&need.path, Place::Local(need.found.local.version.clone())),
            None => (&step.path, Place::Object(*digest)),
        },
    };
    (item.size <= SCAN_BYTES_MAX).then(|| Outgoing { path: path.clone(), from })
}

impl Outgoing {
    /// Reads it; blocks while it does.
    async fn read(&self, local: &Arc<dyn Endpoint>, objects: &Objects) -> syncline_connect::Result<Vec<u8>> {
        let content = match &self.from {
            Place::Local(version) => local.read(&self.path, version).await?,
            Place::Object(digest) => Content::reader(objects.open(digest).map_err(crate::bridge::translate)?),
        };
        let mut bytes = Vec::new();
        let mut reader = content.into_reader().take(SCAN_BYTES_MAX + 1);
        reader.read_to_end(&mut bytes).map_err(|error| syncline_connect::Error::io(error, "reading"))?;
        Ok(bytes)
    }
}

/// Keeps what could not be searched from leaving, and the rest of the plan from waiting for it. Tells whether the plan has
/// to be made anew.
fn leave_out(path: &ItemPath, problem: Problem, plan: &mut Plan, view: &mut View) -> bool {
    let changes = &mut view.snapshots.local.changes;
    if let Ok(at) = changes.binary_search_by(|change| change.path.cmp(path)) {
        changes[at].now = Seen::Unreadable(problem);
        return true;
    }
    let message = format!("{path} is about to leave and cannot be searched for secrets: {}", problem.message);
    plan.halts.push(halt(message));
    false
}

fn message(found: &[(ItemPath, SecretFinding)], baseline: &str) -> String {
    let place = |(path, finding): &(ItemPath, SecretFinding)| {
        let SecretFinding { rule, line, fingerprint, .. } = finding;
        format!("{path}:{line} ({rule}, fingerprint {fingerprint})")
    };
    let mut places: Vec<String> = found.iter().take(PLACES_MAX).map(place).collect();
    if found.len() > PLACES_MAX {
        places.push(format!("and {} more", found.len() - PLACES_MAX));
    }
    format!(
        "what looks like a secret would leave: {}; take it out, or, if it may leave, write `{ALLOW_MARKER}` in a comment on \
         its line, or add its fingerprint to {baseline}",
        places.join(", ")
    )
}

const fn halt(message: String) -> Halt {
    Halt { code: "secret_found", side: Side::Local, message, approvable: false }
}
