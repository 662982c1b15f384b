//! The gate for secrets: what a plan would send is searched before anything leaves.
//!
//! It is searched at the version that is going to be sent, so whatever changes afterwards is refused by its step and
//! planned, and searched, anew.

use std::collections::{HashMap, HashSet};
use std::io::Read;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use syncline_connect::{Content, Endpoint, ErrorKind};
use syncline_core::secrets::{ALLOW_MARKER, PatternError, SCAN_BYTES_MAX, Scanner, SecretFinding};
use syncline_core::{Action, Digest, Halt, ItemPath, Plan, Problem, Seen, Side, Source, Step, Version};
use syncline_store::Store;

use crate::apply::{Holder, holders};
use crate::bridge::translate;
use crate::context::{Context, Event, Options, Target};
use crate::error::Result;
use crate::look::{View, unreadable};
use crate::spread::spread;

/// How many places are told one by one.
const PLACES_MAX: usize = 20;

/// What counts as a secret: what is looked for in everything that leaves.
#[derive(Debug, Default)]
pub struct SecretScan {
    patterns: Vec<String>,
    baseline: PathBuf,
    name: String,
    /// Made when something is about to leave: most runs send nothing.
    scanner: OnceLock<std::result::Result<Arc<Scanner>, PatternError>>,
}

impl SecretScan {
    /// Looks for the built-in kinds of secrets and for `patterns`. The file `baseline`, which people know as `name`, holds
    /// the fingerprints of what is allowed: one in a line, and whatever follows it there is for people.
    #[must_use]
    pub const fn new(patterns: Vec<String>, baseline: PathBuf, name: String) -> Self {
        Self { patterns, baseline, name, scanner: OnceLock::new() }
    }

    pub(crate) fn scanner(&self) -> std::result::Result<Arc<Scanner>, PatternError> {
        self.scanner.get_or_init(|| Scanner::new(&self.patterns).map(Arc::new)).clone()
    }

    /// The file with the fingerprints of what is allowed, as people know it.
    pub(crate) fn baseline_name(&self) -> &str {
        &self.name
    }

    /// The fingerprints that are allowed. One that cannot be read allows nothing.
    #[must_use]
    pub fn allowed(&self) -> HashSet<String> {
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
) -> Result<bool> {
    let gates = target.gates.as_deref();
    // What is put back to what it was has been there before.
    let scan =
        gates.and_then(|gates| gates.secrets.as_deref()).filter(|_| options.choices.desired.is_empty());
    let Some(scan) = scan else { return Ok(true) };
    let outgoing = outgoing(plan, view)?;
    if outgoing.is_empty() {
        return Ok(true);
    }
    let scanner = match scan.scanner() {
        Ok(scanner) => scanner,
        Err(error) => {
            plan.halts.push(halt(format!("what is about to leave cannot be searched for secrets: {error}")));
            return Ok(true);
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
        return Ok(true);
    }
    let mut stands = true;
    for (path, problem) in unread {
        stands &= !leave_out(&path, problem, plan, view);
    }
    Ok(stands)
}

async fn search_all(
    context: &Context,
    target: &Target,
    scanner: Arc<Scanner>,
    outgoing: Vec<Outgoing>,
) -> Vec<(ItemPath, std::result::Result<Vec<SecretFinding>, Problem>)> {
    let items = outgoing.len() as u64;
    context.events.happened(&Event::Searching { target: target.name.clone(), items });
    let (local, store) = (Arc::clone(&target.endpoints.local), context.store.clone());
    let progress = context.events.progress();
    let search = move |item: Outgoing| {
        let (local, store) = (Arc::clone(&local), store.clone());
        let (scanner, progress) = (Arc::clone(&scanner), Arc::clone(&progress));
        async move {
            let searched = match item.read(&local, &store).await {
                Ok(bytes) => Ok(scanner.scan(&bytes)),
                Err(error) if item.will_be_refused(&error) => Ok(Vec::new()),
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
    path: ItemPath,
    place: Place,
}

/// Where it can be read.
enum Place {
    Workspace(Version),
    Store(Digest),
}

/// What a plan sends, as far as it can be searched.
fn outgoing(plan: &Plan, view: &View) -> Result<Vec<Outgoing>> {
    let sent =
        || plan.steps.iter().filter(|step| step.side == Side::Remote && step.bytes() <= SCAN_BYTES_MAX);
    let objects = sent().filter_map(|step| match &step.action {
        Action::Write { source: Source::Object(digest), .. } => Some(*digest),
        _ => None,
    });
    let elsewhere: HashSet<Digest> = objects.filter(|digest| !view.merges.contains_key(digest)).collect();
    let holders = if elsewhere.is_empty() { HashMap::new() } else { holders(view, &elsewhere)? };
    Ok(sent().filter_map(|step| outgoing_of(step, view, &holders)).collect())
}

fn outgoing_of(step: &Step, view: &View, holders: &HashMap<Digest, Vec<Holder>>) -> Option<Outgoing> {
    let Action::Write { source, .. } = &step.action else { return None };
    let ours = |path: &ItemPath, version: &Version| {
        Some(Outgoing { path: path.clone(), place: Place::Workspace(version.clone()) })
    };
    let digest = match source {
        Source::Nothing => return None,
        Source::Opposite { path, version } => return ours(path, version),
        Source::Object(digest) => digest,
    };
    // What is merged is not there yet. What of it is ours stands in our version, and the rest comes from there.
    if let Some(need) = view.merges.get(digest) {
        return ours(&need.path, &need.found.local.version);
    }
    let holders = holders.get(digest).map(Vec::as_slice).unwrap_or_default();
    if holders.iter().any(|(side, ..)| *side == Side::Remote) {
        return None;
    }
    match holders.first() {
        Some((_, path, version)) => ours(path, version),
        None => Some(Outgoing { path: step.path.clone(), place: Place::Store(*digest) }),
    }
}

impl Outgoing {
    /// Reads it; blocks while it does.
    async fn read(&self, local: &Arc<dyn Endpoint>, store: &Store) -> syncline_connect::Result<Vec<u8>> {
        let content = match &self.place {
            Place::Workspace(version) => local.read(&self.path, version).await?,
            Place::Store(digest) => match store.objects().open(digest) {
                Ok(object) => Content::reader(object),
                Err(error) => {
                    let bases = store.bases().find(&HashSet::from([*digest])).map_err(translate)?;
                    Content::bytes(bases.read(digest).ok_or_else(|| translate(error))?)
                }
            },
        };
        let mut bytes = Vec::new();
        let mut reader = content.into_reader().take(SCAN_BYTES_MAX + 1);
        reader.read_to_end(&mut bytes).map_err(|error| syncline_connect::Error::io(error, "reading"))?;
        Ok(bytes)
    }

    /// Whether its step will be refused for the same reason for which it could not be read.
    fn will_be_refused(&self, error: &syncline_connect::Error) -> bool {
        let is_other = matches!(error.kind(), ErrorKind::Changed | ErrorKind::NotFound);
        is_other && matches!(self.place, Place::Workspace(_))
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
    let places = places(found.iter().map(|(path, finding)| (path.as_str(), finding)));
    format!("what looks like a secret would leave: {places}; {}", remedy(baseline))
}

/// Where secrets were found.
pub(crate) fn places<'a>(found: impl Iterator<Item = (&'a str, &'a SecretFinding)>) -> String {
    let place = |(path, finding): (&str, &SecretFinding)| {
        let SecretFinding { rule, line, fingerprint, .. } = finding;
        format!("{path}:{line} ({rule}, fingerprint {fingerprint})")
    };
    let mut places: Vec<String> = found.map(place).collect();
    let more = places.len().saturating_sub(PLACES_MAX);
    places.truncate(PLACES_MAX);
    if more > 0 {
        places.push(format!("and {more} more"));
    }
    places.join(", ")
}

/// What to do about a secret that was found.
pub(crate) fn remedy(baseline: &str) -> String {
    format!(
        "take it out, or, if it may leave, write `{ALLOW_MARKER}` in a comment on its line, or add its fingerprint to \
         {baseline}"
    )
}

const fn halt(message: String) -> Halt {
    Halt { code: "secret_found", side: Side::Local, message, approvable: false }
}
