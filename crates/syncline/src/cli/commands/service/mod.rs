//! `syncline service`: the service manager of the system keeps `syncline serve` running, from boot on.

mod systemctl;
mod unit;

use std::fs;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde::Serialize;
use syncline_service::{Problem, Service as Workspace, wire};

use self::systemctl::{Systemctl, is_privileged, owner};
use self::unit::{Manager, SYSTEM_FOLDER, Unit, default_name, is_name, workspace_of};
use crate::cli::args::Globals;
use crate::cli::output::Output;
use crate::cli::text::{bytes, local_time, paint, shown, style};
use crate::cli::{report_file, session};

/// Let the system keep `syncline serve` running: from boot on, watched over, and started again when it dies.
///
/// A unit of systemd is written. It runs unprivileged, writes to the workspace and to its folders only, gets at most 500 MB
/// of memory, and is started again when it gives no sign of life for a minute.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  syncline service install                    for you alone, by the manager of your user
  sudo syncline service install --run-as ada  for the machine, as the user ada
  syncline service install --print            only show the unit
  syncline service status                     whether it runs, and since when
  syncline service uninstall                  stop it and remove the unit")]
pub(crate) struct Service {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Write the unit, and start it now and at every boot.
    Install(Install),
    /// Stop it, and remove the unit.
    Uninstall(Which),
    /// Tell whether it runs; otherwise end with exit code 1.
    Status(Which),
}

#[derive(Debug, clap::Args)]
struct Install {
    #[command(flatten)]
    which: Which,
    /// The user that it runs as, for the system [default: the owner of the workspace].
    #[arg(long, value_name = "USER", conflicts_with = "user")]
    run_as: Option<String>,
    /// Answer over HTTP on this address too.
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// A file of lines `NAME=value`, such as the secrets that the configuration refers to as `${env:NAME}`.
    #[arg(long, value_name = "FILE")]
    environment: Option<PathBuf>,
    /// Most memory, scripts included; beyond it the process is ended and started again.
    #[arg(long, value_name = "SIZE", default_value = "500M", value_parser = size)]
    memory_max: String,
    /// Only print the unit.
    #[arg(long)]
    print: bool,
    /// Write the unit and start it at boot, but not now.
    #[arg(long)]
    no_start: bool,
}

#[derive(Debug, clap::Args)]
struct Which {
    /// That of the manager of your user [default, unless root].
    #[arg(long)]
    user: bool,
    /// That of the system [default for root].
    #[arg(long, conflicts_with = "user")]
    system: bool,
    /// The name of the unit [default: syncline-FOLDER].
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
}

/// What was done.
#[derive(Serialize)]
struct Done {
    version: u32,
    name: String,
    file: String,
}

/// How the service is doing.
#[derive(Serialize)]
struct Status {
    version: u32,
    name: String,
    file: String,
    installed: bool,
    enabled: bool,
    active: bool,
    #[serde(flatten)]
    told: systemctl::Told,
}

impl Service {
    /// Runs the command.
    pub(crate) fn run(self, globals: &Globals, output: &Output) -> Result<u8, Problem> {
        let workspace = session::open_quietly(globals, output, "command line")?;
        match self.command {
            Command::Install(command) => command.run(&workspace, globals, output),
            Command::Uninstall(which) => uninstall(&which.place(&workspace)?, output),
            Command::Status(which) => status(&which.place(&workspace)?, output),
        }
    }
}

/// A unit of a workspace: who runs it, its name, and its file.
struct Place {
    systemctl: Systemctl,
    name: String,
    file: PathBuf,
    workspace: PathBuf,
}

impl Which {
    fn place(&self, workspace: &Workspace) -> Result<Place, Problem> {
        let root = workspace.workspace().root.clone();
        let name = self.name.clone().unwrap_or_else(|| default_name(&root));
        let name = name.strip_suffix(".service").unwrap_or(&name).to_owned();
        if !is_name(&name) {
            let message = format!("`{}` cannot be the name of a unit", shown(&name));
            return Err(
                Problem::usage("bad_name", message).with_hint("use letters, digits, `-`, `_` and `.`")
            );
        }
        let user = self.user || !self.system && !is_privileged();
        let folder = if user { user_folder()? } else { PathBuf::from(SYSTEM_FOLDER) };
        let file = folder.join(format!("{name}.service"));
        Ok(Place { systemctl: Systemctl { user }, name, file, workspace: root })
    }
}

/// Where the units of the user lie.
fn user_folder() -> Result<PathBuf, Problem> {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let config = variable("XDG_CONFIG_HOME").or_else(|| variable("HOME").map(|home| home.join(".config")));
    let missing = || Problem::usage("no_home", "neither HOME nor XDG_CONFIG_HOME is set");
    Ok(config.ok_or_else(missing)?.join("systemd/user"))
}

impl Place {
    /// The unit that is there, when it is one of this workspace.
    fn there(&self) -> Result<Option<String>, Problem> {
        let text = match fs::read_to_string(&self.file) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Problem::io(error, format_args!("reading {}", self.file.display()))),
        };
        let whose = match workspace_of(&text) {
            Some(of) if Path::new(of) == self.workspace => return Ok(Some(text)),
            Some(of) => format!("serves {}", shown(of)),
            None => "was not written by Syncline".to_owned(),
        };
        let message = format!("{} {whose}; nothing was changed", self.file.display());
        Err(Problem::usage("exists", message).with_hint("name another unit with --name"))
    }
}

impl Install {
    fn run(self, workspace: &Workspace, globals: &Globals, output: &Output) -> Result<u8, Problem> {
        let place = self.which.place(workspace)?;
        let text = self.unit(workspace, &place, globals)?.text()?;
        if self.print {
            output.raw(&text);
            return Ok(0);
        }
        let before = place.there()?;
        if let Some(folder) = place.file.parent() {
            let failed = |error| Problem::io(error, format_args!("making {}", folder.display()));
            fs::create_dir_all(folder).map_err(failed)?;
        }
        report_file::write(&place.file, text.as_bytes())?;
        if let Err(problem) = place.systemctl.start(&place.name, !self.no_start, before.is_some()) {
            if before.is_none() {
                // What could not be installed is not left half installed; why it could not is what is told.
                let _ = place.systemctl.stop(&place.name);
                let _ = fs::remove_file(&place.file);
                let _ = place.systemctl.reload();
            }
            return Err(problem);
        }
        let done =
            Done { version: wire::VERSION, name: place.name.clone(), file: place.file.display().to_string() };
        output.result(&done, || {
            let does =
                if self.no_start { "starts at the next boot" } else { "runs, now and from every boot on" };
            format!("{} {} {does}: {}\n", paint(style::GOOD, "✓"), done.name, shown(&done.file))
        });
        if place.systemctl.user {
            output.note("units of a user run while that user is logged in; `loginctl enable-linger` lets them run always");
        }
        Ok(0)
    }

    fn unit(&self, workspace: &Workspace, place: &Place, globals: &Globals) -> Result<Unit, Problem> {
        let absolute = |path: &Path| {
            std::path::absolute(path)
                .map_err(|error| Problem::io(error, format_args!("finding {}", path.display())))
        };
        let program = std::env::current_exe().map_err(|error| Problem::io(error, "finding this program"))?;
        let manager =
            if place.systemctl.user { Manager::User } else { self.system_manager(&place.workspace)? };
        Ok(Unit {
            manager,
            program,
            config: workspace.workspace().file.clone(),
            workspace: place.workspace.clone(),
            state: globals.state.as_deref().map(absolute).transpose()?,
            folders: remote_folders(workspace),
            listen: self.listen.map(|address| address.to_string()),
            environment: self.environment.as_deref().map(absolute).transpose()?,
            memory_max: self.memory_max.clone(),
        })
    }

    /// The system, as a user that is not root unless root was named.
    fn system_manager(&self, workspace: &Path) -> Result<Manager, Problem> {
        if let Some(user) = &self.run_as {
            let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
            if user.is_empty() || !user.chars().all(plain) || user.starts_with('-') {
                let message = format!("`{}` is no name of a user", shown(user));
                return Err(Problem::usage("bad_user", message));
            }
            return Ok(Manager::System { user: user.clone(), group: None });
        }
        match owner(workspace) {
            Some((0, _)) | None => {
                let message = "the service would run as root, the owner of the workspace";
                Err(Problem::usage("privileged", message).with_hint(
                    "say as whom it runs: --run-as USER, who must be able to write to the workspace",
                ))
            }
            Some((user, group)) => {
                Ok(Manager::System { user: user.to_string(), group: Some(group.to_string()) })
            }
        }
    }
}

/// The folders outside of the workspace that its targets may write to.
fn remote_folders(workspace: &Workspace) -> Vec<PathBuf> {
    let root = &workspace.workspace().root;
    let mut folders = Vec::new();
    for target in &workspace.workspace().targets {
        let settings = target.remote.public_settings();
        let path = ["path", "url"].iter().find_map(|key| settings[*key].as_str());
        let Some(path) = path.filter(|path| !path.contains("://") && !path.contains("${")) else { continue };
        let folder = session::normalised(&root.join(path));
        if !folder.starts_with(root) && !folders.contains(&folder) {
            folders.push(folder);
        }
    }
    folders
}

fn uninstall(place: &Place, output: &Output) -> Result<u8, Problem> {
    if place.there()?.is_none() {
        let message = format!("no unit serves this workspace: {} does not exist", place.file.display());
        return Err(Problem::usage("not_installed", message));
    }
    place.systemctl.stop(&place.name)?;
    let failed = |error| Problem::io(error, format_args!("removing {}", place.file.display()));
    fs::remove_file(&place.file).map_err(failed)?;
    place.systemctl.reload()?;
    let done =
        Done { version: wire::VERSION, name: place.name.clone(), file: place.file.display().to_string() };
    output.result(&done, || format!("{} {} is stopped and removed\n", paint(style::GOOD, "✓"), done.name));
    Ok(0)
}

fn status(place: &Place, output: &Output) -> Result<u8, Problem> {
    let installed = place.there()?.is_some();
    let told = if installed { place.systemctl.told(&place.name)? } else { systemctl::Told::default() };
    let status = Status {
        version: wire::VERSION,
        name: place.name.clone(),
        file: place.file.display().to_string(),
        installed,
        enabled: told.unit_file == "enabled",
        active: told.active == "active",
        told,
    };
    let wrong = !status.active;
    output.outcome(&status, wrong, || page(&status));
    Ok(u8::from(wrong))
}

fn page(status: &Status) -> String {
    let name = &status.name;
    if !status.installed {
        return format!(
            "{} {name} is not installed; `syncline service install` does it\n",
            paint(style::BAD, "✗")
        );
    }
    let told = &status.told;
    let boot = if status.enabled { "starts at boot" } else { "does not start at boot" };
    if !status.active {
        let why = if told.result.is_empty() { String::new() } else { format!(" ({})", shown(&told.result)) };
        return format!("{} {name} is {}{why}; {boot}\n", paint(style::BAD, "✗"), shown(&told.active));
    }
    let since =
        told.since.as_deref().map(|since| format!(" since {}", local_time(since))).unwrap_or_default();
    let memory = told.memory.map(|memory| format!(", {} of memory", bytes(memory))).unwrap_or_default();
    format!(
        "{} {name} runs{since}; process {}{memory}, started again {} times; {boot}\n",
        paint(style::GOOD, "✓"),
        told.pid,
        told.restarts
    )
}

/// A size as systemd writes it.
fn size(typed: &str) -> Result<String, String> {
    let digits = typed.trim_end_matches(['K', 'M', 'G', 'T']);
    let one_unit = typed.len() - digits.len() <= 1;
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if one_unit && is_number { Ok(typed.to_owned()) } else { Err("write it as in `500M` or `2G`".to_owned()) }
}
