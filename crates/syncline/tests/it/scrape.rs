//! A real Prometheus takes the figures of a running daemon, with a token, and answers questions about them.

use std::fs;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::http::{Server, asked_at};
use crate::support::World;
use crate::tokens::token;
use crate::watch_place::eventually;

/// A Prometheus that ends when the test does.
struct Prometheus {
    process: Child,
    address: String,
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Prometheus {
    /// Starts one in a folder of the world; nothing when it is not installed.
    fn start(world: &World, scraped: &str, token: &str) -> Option<Self> {
        let folder = world.path("prometheus");
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("token"), token).unwrap();
        let configuration = format!(
            "global: {{ scrape_interval: 250ms, scrape_timeout: 250ms }}\nscrape_configs:\n  - job_name: syncline\n    \
             authorization: {{ credentials_file: token }}\n    static_configs: [{{ targets: [\"{scraped}\"] }}]\n"
        );
        fs::write(folder.join("prometheus.yml"), configuration).unwrap();
        // Nobody else asks the system for a port that it has just given out, in the moment until it is taken again.
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let mut command = Command::new("prometheus");
        command.current_dir(&folder).args(["--config.file=prometheus.yml", "--storage.tsdb.path=data"]);
        command.arg(format!("--web.listen-address={address}"));
        let log = fs::File::create(folder.join("log")).unwrap();
        let process = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().ok()?;
        Some(Self { process, address })
    }

    /// The value of the only series that an expression stands for, when there is one.
    fn value(&self, expression: &str) -> Option<String> {
        let answer =
            asked_at(&self.address, "GET", &format!("/api/v1/query?query={expression}"), "", "").ok()?;
        let answer: Value = serde_json::from_str(&answer.body).ok()?;
        let found = answer["data"]["result"].as_array().filter(|found| found.len() == 1)?;
        found[0]["value"][1].as_str().map(str::to_owned)
    }
}

#[test]
fn prometheus_scrapes_the_daemon_and_answers_what_it_was_told() {
    let world = World::with("schedule: \"@yearly\"");
    let text = fs::read_to_string(world.local("syncline.yaml")).unwrap();
    world.configure(&format!("{text}serve: {{ listen: \"127.0.0.1:0\", require_token: true }}\n"));
    world.write_local("a.md", "four");
    world.expect(0, &["run"]);
    let token = token(&world, "prometheus", &["--scope", "read"]);
    let server = Server::listening(&world, &["serve"]);
    eventually("it is ready", || server.get("/readyz").status == 200);
    assert_eq!(server.get("/metrics").status, 401, "figures are for those who have a token");

    let Some(mut prometheus) = Prometheus::start(&world, &server.address, &token) else {
        println!("left out: prometheus is not installed (Debian: prometheus)");
        return;
    };
    eventually("it is scraped", || {
        let ended = prometheus.process.try_wait().unwrap();
        assert!(ended.is_none(), "{}", fs::read_to_string(world.path("prometheus/log")).unwrap());
        prometheus.value("up").as_deref() == Some("1")
    });
    for (expression, value) in [
        ("syncline_up", "1"),
        ("syncline_runs_total%7Btarget%3D%22main%22%2Cresult%3D%22succeeded%22%7D", "1"),
        ("syncline_transferred_bytes_total", "4"),
        ("syncline_run_duration_seconds_count", "1"),
    ] {
        assert_eq!(prometheus.value(expression).as_deref(), Some(value), "{expression}");
    }
    // The histogram is one that quantiles can be read off.
    let quantile = "histogram_quantile(0.95%2Csyncline_run_duration_seconds_bucket)";
    assert!(prometheus.value(quantile).unwrap().parse::<f64>().unwrap() > 0.0);
}
