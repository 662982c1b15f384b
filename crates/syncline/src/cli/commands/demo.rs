//! `syncline demo`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use syncline_service::Problem;

use crate::cli::args::Globals;
use crate::cli::output::Output;
use crate::cli::text::{paint, quoted, style};

/// See everything in ten seconds: two copies of a small project, edits, a conflict, history, rollback.
///
/// Works in a temporary folder, touches nothing else, and leaves the folder for you to play with. Every command that
/// is shown is really run.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  syncline demo
  syncline demo --dir /tmp/play")]
pub(crate) struct Demo {
    /// The folder; it must not exist or be empty [default: a new one among the temporary files].
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// The demonstration: two copies of a project, and this very program.
struct Stage<'a> {
    output: &'a Output,
    program: PathBuf,
    color: bool,
    laptop: PathBuf,
    server: PathBuf,
}

impl Demo {
    /// Runs the command.
    pub(crate) fn run(self, globals: &Globals, output: &Output) -> Result<u8, Problem> {
        let folder = self.folder()?;
        let program = std::env::current_exe().map_err(|error| Problem::io(error, "finding this program"))?;
        let color = anstream::AutoStream::choice(&io::stdout()) != anstream::ColorChoice::Never;
        let stage =
            Stage { output, program, color, laptop: folder.join("laptop"), server: folder.join("server") };
        let _ = globals;
        stage.play().map_err(|error| Problem::io(error, format_args!("playing in {}", folder.display())))?;
        stage.farewell(&folder);
        Ok(0)
    }

    fn folder(&self) -> Result<PathBuf, Problem> {
        let Some(folder) = &self.dir else {
            let made = tempfile::Builder::new().prefix("syncline-demo-").tempdir();
            return Ok(made.map_err(|error| Problem::io(error, "making a temporary folder"))?.keep());
        };
        let failed = |error| Problem::io(error, format_args!("making {}", folder.display()));
        fs::create_dir_all(folder).map_err(failed)?;
        if fs::read_dir(folder).map_err(failed)?.next().is_some() {
            let message = format!("{} is not empty; nothing was touched", folder.display());
            return Err(Problem::usage("not_empty", message).with_hint("name a folder that does not exist"));
        }
        std::path::absolute(folder).map_err(failed)
    }
}

impl Stage<'_> {
    fn play(&self) -> io::Result<()> {
        self.say("A project on a laptop, and an empty folder on a server.");
        self.project()?;
        self.run(&["init", "--remote", "../server", "--name", "project", "--node", "laptop"])?;

        self.say("What would be done? Nothing is touched by asking.");
        self.run(&["plan"])?;
        self.run(&["run"])?;

        self.say(
            "Now both sides work: the laptop edits and adds, the server renames a folder and cleans up.",
        );
        self.write_laptop("notes/ideas.md", "# Ideas\n\n- keep both copies in agreement\n- prove it\n")?;
        self.write_laptop("src/lib.rs", "pub fn answer() -> u32 {\n    42\n}\n")?;
        fs::rename(self.server.join("assets"), self.server.join("media"))?;
        fs::remove_file(self.server.join("notes/old.md"))?;
        self.run(&["plan"])?;
        self.run(&["run"])?;

        self.say("The same file, edited on both sides in different places: both edits stay.");
        let ideas = fs::read_to_string(self.laptop.join("notes/ideas.md"))?;
        self.write_laptop("notes/ideas.md", &ideas.replace("# Ideas", "# Ideas for both of us"))?;
        fs::write(self.server.join("notes/ideas.md"), format!("{ideas}- sleep well\n"))?;
        self.run(&["run", "--verbose"])?;

        self.say("The same file, edited on both sides in the same place.");
        self.write_laptop("config.toml", "name = \"demo\"\nport = 8080\n")?;
        fs::write(self.server.join("config.toml"), "name = \"demo\"\nport = 9090\n")?;
        self.run(&["run", "--report", "../report.json"])?;
        self.say("Nothing was lost: both versions are there, and the conflict waits for a decision.");
        self.run(&["conflicts", "list"])?;
        self.run(&["conflicts", "show", &self.conflict()?])?;
        self.run(&["conflicts", "resolve", "config.toml", "--take", "local"])?;

        self.say("Every run is remembered, and can be undone. Somebody removes too much:");
        fs::remove_dir_all(self.laptop.join("src"))?;
        self.run(&["run"])?;
        self.run(&["rollback", "last"])?;
        self.say("One file as it was before:");
        self.run(&["restore", "notes/old.md"])?;
        self.run(&["history"])?;
        self.run(&["status"])
    }

    /// Makes the two copies.
    fn project(&self) -> io::Result<()> {
        fs::create_dir_all(&self.laptop)?;
        fs::create_dir_all(&self.server)?;
        self.write_laptop("README.md", "# Demo\n\nA small project that lives in two places.\n")?;
        self.write_laptop("config.toml", "name = \"demo\"\nport = 8000\n")?;
        self.write_laptop("notes/ideas.md", "# Ideas\n\n- keep both copies in agreement\n")?;
        self.write_laptop("notes/old.md", "Nobody needs this any more.\n")?;
        self.write_laptop("src/main.rs", "fn main() {\n    println!(\"hello\");\n}\n")?;
        self.write_laptop("src/build.rs", "fn main() {}\n")?;
        fs::create_dir_all(self.laptop.join("assets"))?;
        for (name, size) in [("logo.png", 48_000), ("photo.jpg", 180_000)] {
            fs::write(self.laptop.join("assets").join(name), noise(size))?;
        }
        Ok(())
    }

    fn write_laptop(&self, path: &str, text: &str) -> io::Result<()> {
        let file = self.laptop.join(path);
        if let Some(folder) = file.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(file, text)
    }

    fn say(&self, text: &str) {
        self.output.raw(&format!("\n{}\n", paint(style::STRONG, text)));
    }

    /// Shows a command, and runs it in the laptop's copy.
    fn run(&self, arguments: &[&str]) -> io::Result<()> {
        let words: Vec<String> = arguments.iter().map(|word| quoted(word)).collect();
        self.output.raw(&format!("{}\n", paint(style::PLACE, &format!("$ syncline {}", words.join(" ")))));
        let made = self.command(arguments).stderr(Stdio::piped()).output()?;
        self.output.raw(&String::from_utf8_lossy(&made.stdout));
        self.output.raw(&String::from_utf8_lossy(&made.stderr));
        if let Some(code @ 1..) = made.status.code() {
            self.output.raw(&format!("{}\n", paint(style::FAINT, &format!("(exit code {code})"))));
        }
        Ok(())
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.current_dir(&self.laptop).stdin(Stdio::null());
        // The surroundings of the user must not lead the demonstration to their own workspace.
        for (name, _) in std::env::vars_os() {
            if name.to_str().is_some_and(|name| name.starts_with("SYNCLINE_")) {
                command.env_remove(name);
            }
        }
        command.args(["--color", if self.color { "always" } else { "never" }]).args(arguments);
        command
    }

    /// The identifier of the open conflict.
    fn conflict(&self) -> io::Result<String> {
        let made = self.command(&["conflicts", "list", "--format", "json"]).output()?;
        let list: serde_json::Value = serde_json::from_slice(&made.stdout)?;
        list["conflicts"][0]["id"]
            .as_str()
            .map(str::to_owned)
            .ok_or_else(|| io::Error::other("the conflict was not recorded"))
    }

    fn farewell(&self, folder: &Path) {
        self.say("That is all. Both copies are yours to play with:");
        let lines = [
            format!("  cd {}", quoted(&self.laptop.display().to_string())),
            "  syncline run --watch              and edit on both sides".to_owned(),
            "  rm -rf ../server; syncline run    see what the guard says".to_owned(),
            "  syncline explain media/logo.png   why is it as it is?".to_owned(),
            format!("  rm -rf {}", quoted(&folder.display().to_string())),
        ];
        self.output.raw(&format!("{}\n", lines.join("\n")));
    }
}

/// Bytes that look like an image to a compressor: the same every time.
fn noise(size: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = Vec::with_capacity(size + 8);
    while bytes.len() < size {
        // Xorshift, see Marsaglia, "Xorshift RNGs", 2003.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(size);
    bytes
}
