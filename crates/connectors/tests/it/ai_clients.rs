//! The configuration of AI clients as one document: what is shown, what is written, and what never is.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Value, json};
use syncline_connect::conformance::MemoryHistory;
use syncline_connect::{
    Batch, Content, Contents, Endpoint, ErrorKind, OpenRequest, Progress, Result, ScanRequest,
};
use syncline_connectors::endpoints::ai_clients::AiClientsEndpoint;
use syncline_core::{
    Action, Digest, Entry, Expected, Found, Item, ItemPath, Kind, MemoryBaseline, Outcome, Root, Seen, Side,
    Sides, Snapshot, Source, Step, Version,
};
use tempfile::TempDir;

use crate::support::request;

const SECRET: &str = "hunter2-value-of-a-variable";

/// A workspace and two clients.
struct Place {
    folder: TempDir,
    settings: Value,
    history: Arc<MemoryHistory>,
}

/// One content for every step.
struct Text(String);

#[async_trait::async_trait]
impl Contents for Text {
    async fn open(&self, _step: &Step) -> Result<Content> {
        Ok(Content::bytes(self.0.clone()))
    }
}

fn document() -> ItemPath {
    ItemPath::parse("claude.md").unwrap()
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let files =
            json!({ "cline": folder.path().join("cline.json"), "cursor": folder.path().join("cursor.json") });
        let settings = json!({ "document": "claude.md", "clients": ["cline", "cursor"], "files": files });
        fs::create_dir(folder.path().join("work")).unwrap();
        Self { folder, settings, history: Arc::default() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    fn open(&self) -> AiClientsEndpoint {
        let (workspace, settings) = (self.path("work"), &self.settings);
        let request =
            OpenRequest { settings, workspace: &workspace, folder: &workspace, state: Path::new("/nowhere") };
        AiClientsEndpoint::open(&request).unwrap()
    }

    async fn scan(&self, endpoint: &AiClientsEndpoint, baseline: MemoryBaseline) -> Snapshot {
        let request = ScanRequest { directories: false, ..request(baseline) };
        endpoint.scan(request).await.unwrap()
    }

    /// What is shown when nothing was agreed on.
    async fn found(&self, endpoint: &AiClientsEndpoint) -> Found {
        let snapshot = self.scan(endpoint, MemoryBaseline::default()).await;
        snapshot.changes[0].now.found().unwrap_or_else(|| panic!("{snapshot:?}")).clone()
    }

    async fn text(&self, endpoint: &AiClientsEndpoint) -> String {
        let version = self.found(endpoint).await.version;
        let mut text = String::new();
        let mut reader = endpoint.read(&document(), &version).await.unwrap().into_reader();
        std::io::Read::read_to_string(&mut reader, &mut text).unwrap();
        text
    }

    async fn push(&self, endpoint: &AiClientsEndpoint, expected: Expected, text: &str) -> Outcome {
        let item = Item { digest: Some(Digest::of(text.as_bytes())), size: text.len() as u64, ..file() };
        let action = Action::Write { item, source: Source::Nothing };
        self.apply(endpoint, Step { side: Side::Remote, path: document(), expected, action }, text).await
    }

    async fn apply(&self, endpoint: &AiClientsEndpoint, step: Step, text: &str) -> Outcome {
        let batch = Batch {
            run: "run".into(),
            steps: vec![step].into(),
            contents: Arc::new(Text(text.to_owned())),
            history: self.history.clone(),
            mark: None,
            progress: Arc::new(Progress::default()),
        };
        endpoint.apply(batch).await.unwrap().remove(0)
    }
}

fn file() -> Item {
    Item { kind: Kind::FILE, digest: None, size: 0, modified: 0 }
}

fn present(found: &Found) -> Expected {
    Expected::Present { version: found.version.clone(), keep: found.item.digest.map(Box::new) }
}

fn agreed(found: &Found) -> MemoryBaseline {
    let mut baseline = MemoryBaseline::default();
    let versions = Sides { local: Version::none(), remote: found.version.clone() };
    let digest = found.item.digest.unwrap();
    baseline.set(&document(), Some(Entry { kind: Kind::FILE, digest, size: found.item.size, versions }));
    baseline
}

fn failure(outcome: &Outcome) -> &str {
    match outcome {
        Outcome::Failed(problem) => &problem.message,
        other => panic!("{other:?}"),
    }
}

const CURSOR: &str = "{\n  \"mcpServers\": {\n    \"github\": {\n      \"command\": \"npx\",\n      \"args\": [\"-y\", \"server-github\"],\n      \"env\": { \"GITHUB_TOKEN\": \"hunter2-value-of-a-variable\" }\n    }\n  }\n}\n";

#[tokio::test]
async fn what_clients_hold_is_shown_in_the_document_without_any_value() {
    let place = Place::new();
    place.write("cursor.json", CURSOR);
    let endpoint = place.open();
    let line = "- `github`: `npx -y server-github`, env `GITHUB_TOKEN`, in `cursor`\n";
    assert_eq!(place.text(&endpoint).await, format!("# AI clients\n\n## MCP servers\n\n{line}"));
    place.write("work/claude.md", "# Mine\n\n## MCP servers\n\n- `slack`: `slack`\n\nBye.\n");
    assert_eq!(place.text(&endpoint).await, format!("# Mine\n\n## MCP servers\n\n{line}\nBye.\n"));
    let snapshot = place.scan(&endpoint, MemoryBaseline::default()).await;
    let told: Vec<&str> = snapshot.problems.iter().map(|problem| problem.message.as_str()).collect();
    assert_eq!(
        told,
        [
            "the server `slack` is named in line 5, and cline, cursor do not have it",
            "the server `github` is in cursor, and the document does not name it there"
        ]
    );
    assert!(!format!("{snapshot:?}").contains(SECRET));
}

#[tokio::test]
async fn a_push_writes_what_is_named_and_the_next_scan_finds_no_change() {
    let place = Place::new();
    place.write("cursor.json", CURSOR);
    place.write("cline.json", "{}\n");
    place.write("work/claude.md", "# Mine\n");
    let endpoint = place.open();
    let before = place.found(&endpoint).await;
    let text = "# Mine\n\n## MCP servers\n- `github`: `npx -y github@2`, env `GITHUB_TOKEN`, in `cursor`\n- `docs`: `https://docs.example.org/mcp`\n";
    place.write("work/claude.md", text);
    let outcome = place.push(&endpoint, present(&before), text).await;
    let Outcome::Applied { version, digest, .. } = outcome else { panic!("{outcome:?}") };
    assert_eq!(place.read("cursor.json").matches(SECRET).count(), 1);
    assert!(
        place.read("cursor.json").contains("github@2") && place.read("cline.json").contains("streamableHttp")
    );
    let after = place.found(&endpoint).await;
    assert_eq!((&after.version, after.item.digest), (&version, digest));
    let snapshot = place.scan(&endpoint, agreed(&after)).await;
    assert!(snapshot.changes.is_empty() && snapshot.problems.is_empty(), "{snapshot:?}");
    let old = place.history.durable(&before.item.digest.unwrap()).expect("the old document is in history");
    assert!(!String::from_utf8_lossy(&old).contains(SECRET));
}

#[tokio::test]
async fn a_step_is_refused_when_clients_hold_something_else_by_now() {
    let place = Place::new();
    place.write("cursor.json", CURSOR);
    place.write("work/claude.md", "# Mine\n");
    let endpoint = place.open();
    let before = place.found(&endpoint).await;
    place.write("cursor.json", &CURSOR.replace("server-github", "other"));
    for expected in [present(&before), Expected::Absent] {
        let outcome = place.push(&endpoint, expected, "# Mine\n").await;
        assert!(matches!(outcome, Outcome::Refused { .. }), "{outcome:?}");
    }
    assert_eq!(endpoint.read(&document(), &before.version).await.unwrap_err().kind(), ErrorKind::Changed);
    assert_eq!(place.read("cursor.json"), CURSOR.replace("server-github", "other"));
    // Whatever else a client writes into its file concerns nobody here, and stays.
    let before = place.found(&endpoint).await;
    place.write("cursor.json", &place.read("cursor.json").replacen('{', "{ \"open\": 1,", 1));
    let text = "## MCP servers\n- `github`: `new`, env `GITHUB_TOKEN`, in `cursor`\n";
    let outcome = place.push(&endpoint, present(&before), text).await;
    assert!(matches!(outcome, Outcome::Applied { .. }), "{outcome:?}");
    assert!(place.read("cursor.json").starts_with("{ \"open\": 1,"));
}

#[tokio::test]
async fn a_push_that_would_lose_a_value_writes_nothing_at_all() {
    let place = Place::new();
    place.write("cursor.json", CURSOR);
    place.write("work/claude.md", "# Mine\n");
    let endpoint = place.open();
    let before = place.found(&endpoint).await;
    let text = "## MCP servers\n- `new`: `run`\n";
    let outcome = place.push(&endpoint, present(&before), text).await;
    let said = failure(&outcome);
    assert!(said.contains("github") && said.contains("GITHUB_TOKEN") && !said.contains(SECRET), "{said}");
    assert_eq!(place.read("cursor.json"), CURSOR);
    assert!(!place.path("cline.json").exists());
    // A removed document removes nothing with it.
    let step = Step {
        side: Side::Remote,
        path: document(),
        expected: present(&before),
        action: Action::Remove { item: file() },
    };
    assert!(failure(&place.apply(&endpoint, step, "").await).contains("restore"));
    assert_eq!(place.read("cursor.json"), CURSOR);
}

#[tokio::test]
async fn what_cannot_be_read_is_unreadable_and_never_overwritten() {
    for (name, text) in [
        ("cursor.json", "{ \"mcpServers\": { broken"),
        (
            "cursor.json",
            "{ \"mcpServers\": { \"a\": { \"command\": \"run\", \"args\": [\"--token=ghp_abcdefghijklmnopqrstuvwxyzABCDEF0123\"] } } }",
        ),
        ("cursor.json", "{ \"mcpServers\": { \"a\": { \"url\": \"https://me:pass@example.org/mcp\" } } }"),
        ("work/claude.md", "## MCP servers\n- github without a name\n"),
        ("work/claude.md", "## MCP servers\n- `a`: `x`\n- `a`: `y`\n"),
        ("work/claude.md", "## MCP servers\n- `a`: `x`, in `emacs`\n"),
        ("work/claude.md", &"# Much\n".repeat(1_500_000)),
    ] {
        let place = Place::new();
        place.write("cursor.json", CURSOR);
        let endpoint = place.open();
        let before = place.found(&endpoint).await;
        place.write(name, text);
        let snapshot = place.scan(&endpoint, agreed(&before)).await;
        let now = &snapshot.changes[0].now;
        let Seen::Unreadable(problem) = now else { panic!("{snapshot:?}") };
        assert!(!problem.message.contains("ghp_") && !problem.message.contains("me:pass"), "{problem:?}");
        if name == "cursor.json" {
            let outcome = place.push(&endpoint, present(&before), "# Mine\n").await;
            assert!(matches!(outcome, Outcome::Failed(_)), "{outcome:?}");
            assert_eq!(place.read(name), text);
        }
    }
}

#[tokio::test]
async fn clients_that_lost_all_their_files_are_a_missing_root() {
    let place = Place::new();
    place.write("cursor.json", CURSOR);
    let endpoint = place.open();
    let before = place.found(&endpoint).await;
    fs::remove_file(place.path("cursor.json")).unwrap();
    assert_eq!(place.scan(&endpoint, agreed(&before)).await.root, Root::Missing);
    let fresh = place.scan(&endpoint, MemoryBaseline::default()).await;
    assert!(fresh.root == Root::Present && fresh.changes.is_empty(), "{fresh:?}");
}

#[tokio::test]
async fn what_is_not_named_is_left_alone_where_that_is_wanted() {
    let mut place = Place::new();
    place.settings["unnamed"] = "ignore".into();
    place.write("cursor.json", CURSOR);
    place.write("cline.json", "{\"mcpServers\":{\"mine\":{\"command\":\"x\"}}}");
    let text = "## MCP servers\n\n- `mine`: `y`, in `cline`\n";
    place.write("work/claude.md", text);
    let endpoint = place.open();
    assert_eq!(place.text(&endpoint).await, text.replace("`y`", "`x`"));
    let before = place.found(&endpoint).await;
    let outcome = place.push(&endpoint, present(&before), text).await;
    assert!(matches!(outcome, Outcome::Applied { .. }), "{outcome:?}");
    assert_eq!(
        (place.read("cursor.json"), place.text(&endpoint).await),
        (CURSOR.to_owned(), text.to_owned())
    );
}

#[tokio::test]
async fn agents_and_skills_are_listed_and_a_push_does_not_invent_them() {
    let mut place = Place::new();
    for (setting, folder) in [("agent_dir", "agents"), ("skills_dir", "skills")] {
        place.settings[setting] = place.path(folder).to_str().unwrap().into();
    }
    fs::create_dir_all(place.path("skills/pdf")).unwrap();
    fs::create_dir_all(place.path("agents")).unwrap();
    place.write("skills/pdf/SKILL.md", "---\nname: pdf\ndescription: Fills *forms*\n---\n");
    place.write("agents/reviewer.md", "---\ndescription: Reviews\n---\n");
    let endpoint = place.open();
    let text =
        "# AI clients\n\n## Agents\n\n- `reviewer`: Reviews\n\n## Skills\n\n- `pdf`: Fills \\*forms\\*\n";
    assert_eq!(place.text(&endpoint).await, text);
    let before = place.found(&endpoint).await;
    let outcome = place.push(&endpoint, present(&before), &text.replace("reviewer", "writer")).await;
    let said = failure(&outcome);
    assert!(
        said.contains("line 5 names the agent `writer`") && said.contains("`reviewer` is there"),
        "{said}"
    );
    // What a list says behind a name is anybody's prose.
    place.write("work/claude.md", &text.replace("Reviews", "is ours"));
    assert_eq!(place.text(&endpoint).await, text.replace("Reviews", "is ours"));
}

#[tokio::test]
async fn what_was_agreed_on_is_as_it_was_and_prose_alone_is_no_difference() {
    let place = Place::new();
    place.write("cursor.json", CURSOR);
    let endpoint = place.open();
    let text = place.text(&endpoint).await;
    place.write("work/claude.md", &text);
    let baseline = || async { agreed(&place.found(&endpoint).await) };
    let agreed = baseline().await;
    // A line that a person takes out is no change of the clients.
    place.write("work/claude.md", "# AI clients\n\n## MCP servers\n");
    let snapshot = place.scan(&endpoint, agreed.clone()).await;
    assert!(snapshot.changes.is_empty() && snapshot.problems.len() == 1, "{snapshot:?}");
    // Prose is shown as it is written.
    place.write("work/claude.md", &format!("Prose.\n\n{text}"));
    let snapshot = place.scan(&endpoint, agreed).await;
    let shown = snapshot.changes[0].now.found().unwrap().item.digest;
    assert_eq!(shown, Some(Digest::of(format!("Prose.\n\n{text}").as_bytes())));
    assert!(snapshot.problems.is_empty(), "{snapshot:?}");
}
