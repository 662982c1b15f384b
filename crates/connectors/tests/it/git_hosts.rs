//! The Git endpoint over https and ssh: real servers on this machine, each with keys of its own.

use std::fs::{self, Permissions};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use syncline_connect::{Endpoint as _, Error, ErrorKind};
use syncline_core::{Expected, MemoryBaseline, Outcome};

use crate::git_support::{Repository, git};
use crate::support::{paths, present, put, request};

/// How long a server may take to come up on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(60);
const TOKEN: &str = "tok_4711/with+signs";

/// A program that serves until this value goes away.
struct Server {
    child: Child,
    port: u16,
}

impl Server {
    /// Starts a server that `command` makes for a port, and waits until it listens.
    fn start(log: &Path, command: impl Fn(u16) -> Command) -> Self {
        // Somebody else may take the port between asking for a free one and using it.
        for _ in 0..5 {
            let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
            let mut command = command(port);
            let program = command.get_program().to_owned();
            let said = fs::File::options().append(true).create(true).open(log).unwrap();
            // A server that is asked to stop may stop the whole group that it is in.
            std::os::unix::process::CommandExt::process_group(&mut command, 0);
            let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(said).spawn();
            let child =
                child.unwrap_or_else(|error| panic!("the tests need the program {program:?}: {error}"));
            let mut server = Self { child, port };
            let deadline = Instant::now() + PATIENCE;
            while server.child.try_wait().unwrap().is_none() {
                if TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok() {
                    return server;
                }
                assert!(Instant::now() < deadline, "the server does not listen: {}", read(log));
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        panic!("the server does not start: {}", read(log));
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Asked to stop, the server stops its own children too.
        let pid = rustix::process::Pid::from_child(&self.child);
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let _ = self.child.wait();
    }
}

fn read(file: &Path) -> String {
    fs::read_to_string(file).unwrap_or_default()
}

/// A program of the system administration, which need not be on the search path.
fn system_program(name: &str) -> PathBuf {
    let places = std::env::var_os("PATH").unwrap_or_default();
    let places = std::env::split_paths(&places).chain(["/usr/sbin".into(), "/sbin".into()]);
    let found = places.map(|place| place.join(name)).find(|path| path.is_file());
    found.unwrap_or_else(|| panic!("the tests need the program {name}; `cargo xtask test` installs it"))
}

fn run(folder: &Path, program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).current_dir(folder).args(arguments).output();
    let output = output.unwrap_or_else(|error| panic!("the tests need the program {program}: {error}"));
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// A repository behind a web server that asks for a token.
struct Https {
    server: Server,
    repository: Repository,
}

impl Https {
    fn new() -> Self {
        let repository = Repository::new();
        repository.commit(&[("a", Some("one")), ("b/c", Some("two"))]);
        let folder = repository.path("server");
        fs::create_dir(&folder).unwrap();
        certificates(&folder);
        let hash = run(&folder, "openssl", &["passwd", "-apr1", TOKEN]);
        fs::write(folder.join("users"), format!("sync:{hash}")).unwrap();
        if rustix::process::geteuid().is_root() {
            // As root, the server gives its rights up and serves as another user.
            fs::set_permissions(repository.path("."), Permissions::from_mode(0o755)).unwrap();
            repository.git(&["config", "core.sharedRepository", "0666"]);
            run(&folder, "chown", &["-R", "www-data", repository.bare().to_str().unwrap()]);
        }
        let server = Server::start(&folder.join("error.log"), |port| {
            fs::write(folder.join("apache.conf"), configuration(&folder, &repository, port)).unwrap();
            let mut command = Command::new(system_program("apache2"));
            command.args(["-DFOREGROUND", "-f"]).arg(folder.join("apache.conf"));
            command
        });
        Self { server, repository }
    }

    fn settings(&self, more: Value) -> Value {
        let mut settings = json!({
            "url": format!("https://127.0.0.1:{}/git/remote.git", self.server.port),
            "username": "sync",
            "ca_file": self.repository.path("server/ca.pem"),
        });
        settings.as_object_mut().unwrap().append(&mut more.as_object().unwrap().clone());
        settings
    }

    async fn refusal(&self, settings: Value) -> Error {
        let git = self.repository.open(settings);
        let error = git.endpoint.scan(request(MemoryBaseline::default())).await.unwrap_err();
        assert!(git.endpoint.check().await.is_err());
        error
    }
}

fn certificates(folder: &Path) {
    let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"];
    let make = |more: &[&str]| run(folder, "openssl", &[&["req", "-x509"], &key[..], more].concat());
    make(&["-subj", "/CN=Test authority", "-keyout", "ca.key", "-out", "ca.pem"]);
    make(&["-subj", "/CN=Another authority", "-keyout", "other.key", "-out", "other.pem"]);
    let server = [
        "-subj",
        "/CN=127.0.0.1",
        "-addext",
        "subjectAltName=IP:127.0.0.1",
        "-addext",
        "basicConstraints=CA:FALSE",
    ];
    make(
        &[&server[..], &["-CA", "ca.pem", "-CAkey", "ca.key", "-keyout", "server.key", "-out", "server.pem"]]
            .concat(),
    );
}

fn configuration(folder: &Path, repository: &Repository, port: u16) -> String {
    let modules =
        ["mpm_prefork", "authn_core", "authn_file", "auth_basic", "authz_core", "authz_user", "alias", "cgi"];
    let modules: String = modules
        .iter()
        .chain(&["env", "ssl"])
        .map(|name| format!("LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n"))
        .collect();
    let exec = git(folder, &["--exec-path"]);
    let (folder, root, exec) = (folder.display(), repository.path("."), exec.trim());
    format!(
        "{modules}ServerRoot \"{folder}\"\nPidFile \"{folder}/pid\"\nListen 127.0.0.1:{port}\nServerName 127.0.0.1\n\
         ErrorLog \"{folder}/error.log\"\nUser www-data\nGroup www-data\nStartServers 2\nDefaultRuntimeDir \"{folder}\"\n\
         Mutex \"file:{folder}\" default\nSSLEngine on\nSSLSessionCache none\nSSLCertificateFile \"{folder}/server.pem\"\n\
         SSLCertificateKeyFile \"{folder}/server.key\"\nSetEnv GIT_PROJECT_ROOT \"{root}\"\nSetEnv GIT_HTTP_EXPORT_ALL 1\n\
         ScriptAlias /git/ \"{exec}/git-http-backend/\"\n<Location /git/>\nAuthType Basic\nAuthName git\n\
         AuthUserFile \"{folder}/users\"\nRequire valid-user\n</Location>\n",
        root = root.display(),
    )
}

#[tokio::test]
async fn a_branch_is_reached_over_https_with_a_token_that_is_nowhere_to_be_seen() {
    let https = Https::new();
    // Whoever forced a push would be refused.
    https.repository.git(&["config", "receive.denyNonFastForwards", "true"]);
    let git = https.repository.open(https.settings(json!({ "token": TOKEN })));
    assert_eq!(paths(&git.scan().await), ["a", "b/c"]);
    let a = git.version("a").await;
    assert_eq!(git.read("a", &a).await, "one");
    let (other, once) = (https.repository.bare(), Arc::new(AtomicBool::new(false)));
    let batch = git.batch(vec![put("a", present(&a, b"one")), put("new", Expected::Absent)], move |_| {
        if !once.swap(true, Ordering::Relaxed) {
            let blob = git_commit(&other);
            assert!(!blob.is_empty());
        }
    });
    let outcomes = git.endpoint.apply(batch).await.unwrap();
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::Applied { .. })), "{outcomes:?}");
    assert_eq!(https.repository.count(), 3, "on top of what was pushed meanwhile");
    assert_eq!(https.repository.content("a"), "new:a");
    assert!(git.endpoint.check().await.unwrap().warnings.is_empty());
    assert!(https.repository.git(&["log", "--format=%an"]).contains("Tester"));
    no_file_holds(&https.repository.path("state"), TOKEN.as_bytes());
}

/// An empty commit on top of the branch, as another one would push it.
fn git_commit(bare: &Path) -> String {
    let commit = git(bare, &["commit-tree", "-p", "main", "-m", "meanwhile", "main^{tree}"]);
    // The server may have given the repository to another user, whose files root may write.
    git(bare, &["update-ref", "refs/heads/main", commit.trim()]);
    commit
}

fn no_file_holds(folder: &Path, secret: &[u8]) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            no_file_holds(&path, secret);
        } else {
            let bytes = fs::read(&path).unwrap();
            assert!(!bytes.windows(secret.len()).any(|part| part == secret), "{}", path.display());
        }
    }
}

#[tokio::test]
async fn a_host_that_refuses_us_over_https_is_told_apart() {
    let https = Https::new();
    let wrong = "tok_wrong_0815";
    let error = https.refusal(https.settings(json!({ "token": wrong }))).await;
    assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
    assert!(error.to_string().contains("refused the token"), "{error}");
    assert!(!format!("{error:?}").contains(wrong), "{error:?}");
    let error = https.refusal(https.settings(json!({}))).await;
    assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
    assert!(error.to_string().contains("no token is configured"), "{error}");
    let other = https.repository.path("server/other.pem");
    let error = https.refusal(https.settings(json!({ "token": TOKEN, "ca_file": other }))).await;
    assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
    assert!(error.to_string().contains("not trusted"), "{error}");
    let url = format!("https://127.0.0.1:{}/git/none.git", https.server.port);
    let error = https.refusal(https.settings(json!({ "token": TOKEN, "url": url }))).await;
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
}

/// A repository behind an ssh server.
struct Ssh {
    server: Server,
    repository: Repository,
}

impl Ssh {
    fn new() -> Self {
        let repository = Repository::new();
        repository.commit(&[("a", Some("one"))]);
        // A space and a percent sign in a path must not become an order to ssh.
        let folder = repository.path("ssh 100%h");
        fs::create_dir(&folder).unwrap();
        for name in ["host", "right", "wrong"] {
            run(&folder, "ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-f", name]);
        }
        fs::copy(folder.join("right.pub"), repository.path("authorized")).unwrap();
        fs::copy(folder.join("host"), repository.path("host")).unwrap();
        if rustix::process::geteuid().is_root() {
            // sshd, started by root, insists on this folder; Debian makes it when the service starts.
            fs::create_dir_all("/run/sshd").unwrap();
        }
        let log = repository.path("sshd.log");
        let server = Server::start(&log, |port| {
            let path = std::env::var("PATH").unwrap_or_default();
            let lines = format!(
                "ListenAddress 127.0.0.1:{port}\nHostKey {host}\nPidFile none\nAuthorizedKeysFile {keys}\nStrictModes no\n\
                 UsePAM no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin prohibit-password\n\
                 SetEnv \"PATH={path}\" GIT_CONFIG_GLOBAL=/dev/null\n",
                host = repository.path("host").display(),
                keys = repository.path("authorized").display(),
            );
            fs::write(repository.path("sshd.conf"), lines).unwrap();
            let mut command = Command::new(system_program("sshd"));
            command.args(["-D", "-E"]).arg(&log).arg("-f").arg(repository.path("sshd.conf"));
            command
        });
        let host = read(&folder.join("host.pub"));
        fs::write(folder.join("known hosts"), format!("[127.0.0.1]:{} {host}", server.port)).unwrap();
        let wrong = read(&folder.join("wrong.pub"));
        fs::write(folder.join("other hosts"), format!("[127.0.0.1]:{} {wrong}", server.port)).unwrap();
        fs::write(folder.join("no hosts"), "").unwrap();
        Self { server, repository }
    }

    fn settings(&self, key: &str, hosts: &str) -> Value {
        let user = run(&self.repository.path("."), "id", &["-un"]);
        let (user, port, path) = (user.trim(), self.server.port, self.repository.bare());
        let file = |name: &str| self.repository.path("ssh 100%h").join(name);
        json!({
            "url": format!("ssh://{user}@127.0.0.1:{port}{}", path.display()),
            "ssh_key": file(key),
            "known_hosts": file(hosts),
        })
    }

    async fn refusal(&self, key: &str, hosts: &str) -> String {
        let git = self.repository.open(self.settings(key, hosts));
        let error = git.endpoint.scan(request(MemoryBaseline::default())).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Denied, "{error:?}");
        assert!(error.hint().is_some());
        error.to_string()
    }
}

#[tokio::test]
async fn a_branch_is_reached_over_ssh() {
    let ssh = Ssh::new();
    let git = ssh.repository.open(ssh.settings("right", "known hosts"));
    assert_eq!(paths(&git.scan().await), ["a"]);
    let a = git.version("a").await;
    let outcomes = git.apply(vec![put("a", present(&a, b"one"))]).await;
    assert!(matches!(outcomes[0], Outcome::Applied { .. }), "{outcomes:?}");
    assert_eq!(ssh.repository.content("a"), "new:a");
}

#[tokio::test]
async fn a_host_that_refuses_us_over_ssh_or_that_is_another_is_told_apart() {
    let ssh = Ssh::new();
    let said = ssh.refusal("wrong", "known hosts").await;
    assert!(said.contains("refused the ssh key"), "{said}");
    for hosts in ["no hosts", "other hosts"] {
        let said = ssh.refusal("right", hosts).await;
        assert!(said.contains("the key of the host"), "{said}");
    }
}
