//! Traces by OpenTelemetry: what a collector is sent, what it is never sent, and that nothing depends on it.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;

use crate::support::{Ran, World};
use crate::watch_place::eventually;

/// A collector on a port of its own, and what it was sent.
#[derive(Clone)]
struct Collector {
    url: String,
    requests: Arc<Mutex<Vec<Sent>>>,
}

/// One request.
#[derive(Clone)]
struct Sent {
    head: String,
    body: Vec<u8>,
}

impl Collector {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let collector =
            Self { url: format!("http://{}", listener.local_addr().unwrap()), requests: Arc::default() };
        let requests = Arc::clone(&collector.requests);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let requests = Arc::clone(&requests);
                std::thread::spawn(move || {
                    while let Some(sent) = take(&stream) {
                        requests.lock().unwrap().push(sent);
                    }
                });
            }
        });
        collector
    }

    /// The requests so far, decoded.
    fn exports(&self) -> Vec<ExportTraceServiceRequest> {
        let requests = self.requests.lock().unwrap().clone();
        let decoded = requests.iter().map(|sent| ExportTraceServiceRequest::decode(sent.body.as_slice()));
        decoded.collect::<Result<_, _>>().unwrap()
    }

    /// The spans so far.
    fn spans(&self) -> Vec<Span> {
        let resources = self.exports().into_iter().flat_map(|export| export.resource_spans);
        resources.flat_map(|resource| resource.scope_spans).flat_map(|scope| scope.spans).collect()
    }

    /// Runs the program with traces sent here.
    fn run(&self, world: &World, arguments: &[&str]) -> Ran {
        Ran::from(self.command(world, arguments).output().unwrap())
    }

    fn command(&self, world: &World, arguments: &[&str]) -> Command {
        let mut command = world.command(arguments);
        command.env("OTEL_EXPORTER_OTLP_ENDPOINT", &self.url);
        command
    }
}

/// Reads one request and answers it; nothing when there is none any more.
fn take(mut stream: &TcpStream) -> Option<Sent> {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let lower = head.to_lowercase();
    let length = lower.lines().find_map(|line| line.strip_prefix("content-length:")).unwrap().trim();
    let mut body = vec![0; length.parse().unwrap()];
    reader.read_exact(&mut body).ok()?;
    stream
        .write_all(b"HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\nContent-Length: 0\r\n\r\n")
        .ok()?;
    Some(Sent { head, body })
}

fn one<'a>(spans: &'a [Span], name: &str) -> &'a Span {
    let named: Vec<&Span> = spans.iter().filter(|span| span.name == name).collect();
    assert_eq!(named.len(), 1, "{name}: {:?}", spans.iter().map(|span| &span.name).collect::<Vec<_>>());
    named[0]
}

fn attributes(attributes: &[KeyValue]) -> BTreeMap<&str, String> {
    let told = |value: &Value| match value {
        Value::StringValue(text) => text.clone(),
        Value::IntValue(number) => number.to_string(),
        Value::BoolValue(flag) => flag.to_string(),
        other => panic!("{other:?}"),
    };
    attributes
        .iter()
        .map(|attribute| {
            (attribute.key.as_str(), told(attribute.value.as_ref().unwrap().value.as_ref().unwrap()))
        })
        .collect()
}

#[test]
fn a_run_is_a_trace_of_its_targets_and_their_phases() {
    let world = World::new();
    world.write_local("a.md", "four");
    let collector = Collector::start();
    let mut run = collector.command(&world, &["run", "--verify"]);
    run.env("OTEL_SERVICE_NAME", "notes").env("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test");
    run.env("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=blue");
    let ran = Ran::from(run.output().unwrap());
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));

    let head = collector.requests.lock().unwrap()[0].head.to_lowercase();
    assert!(head.starts_with("post /v1/traces ") && head.contains("x-tenant: blue"), "{head}");
    let exports = collector.exports();
    let resource = exports[0].resource_spans[0].resource.as_ref().unwrap();
    let resource = attributes(&resource.attributes);
    assert_eq!(
        (resource["service.name"].as_str(), resource["deployment.environment.name"].as_str()),
        ("notes", "test")
    );
    assert!(resource.contains_key("service.version"), "{resource:?}");

    let spans = collector.spans();
    let root = one(&spans, "start_run");
    assert!(root.parent_span_id.is_empty());
    let told = attributes(&root.attributes);
    assert_eq!(
        (told["syncline.cause"].as_str(), told["syncline.successful"].as_str()),
        ("command line", "1")
    );
    let verify = one(&spans, "verify");
    assert_eq!(verify.parent_span_id, root.span_id);
    // The run, and the look that verifies it.
    let of = |parent: &Span, name| {
        let found = spans.iter().find(|span| span.name == name && span.parent_span_id == parent.span_id);
        found.unwrap_or_else(|| panic!("no {name}"))
    };
    let run = of(root, "run");
    let told = attributes(&run.attributes);
    for (name, value) in [
        ("syncline.target", "main"),
        ("syncline.direction", "bidirectional"),
        ("syncline.outcome", "succeeded"),
        ("syncline.created", "1"),
        ("syncline.bytes", "4"),
        ("syncline.halts", "0"),
    ] {
        assert_eq!(told[name], value, "{name}: {told:?}");
    }
    let history = world.json(0, &["history"]);
    assert_eq!(told["syncline.run"], history["runs"][0]["run"].as_str().unwrap());
    let scan = attributes(&of(run, "scan").attributes);
    assert_eq!((scan["syncline.local.changes"].as_str(), scan["syncline.complete"].as_str()), ("1", "true"));
    assert_eq!(attributes(&of(run, "plan").attributes)["syncline.steps"], "1");
    assert_eq!(attributes(&of(run, "apply").attributes)["syncline.steps"], "1");
    assert_eq!(attributes(&of(verify, "run").attributes)["syncline.dry_run"], "true");
    assert!(spans.iter().all(|span| span.trace_id == root.trace_id), "it is one trace");
}

#[test]
fn no_secret_is_sent() {
    let token = ["ghp", "_", "0aB1cD2eF3gH4iJ5kL6mN7oP8qR9sT0uV1wX"].concat();
    let world = World::with(&format!(
        "safety:\n  pre_sync_checks:\n    - name: Gate\n      command: \"echo the token is {token} >&2; exit 1\"\n"
    ));
    let collector = Collector::start();
    let ran = collector.run(&world, &["run"]);
    assert_eq!(ran.code, 4, "{ran:?}");
    let run = one(&collector.spans(), "run").clone();
    let told = attributes(&run.attributes);
    assert!(told["syncline.message"].contains("the token is [redacted]"), "{told:?}");
    assert_eq!(told["syncline.outcome"], "halted");
    for sent in collector.requests.lock().unwrap().iter() {
        assert!(!String::from_utf8_lossy(&sent.body).contains(&token));
    }
}

#[test]
fn a_target_that_fails_is_an_error_in_its_trace() {
    let world = World::with("safety:\n  post_sync_checks:\n    - name: After\n      command: \"exit 3\"\n");
    world.write_local("a.md", "a");
    let collector = Collector::start();
    assert_eq!(collector.run(&world, &["run"]).code, 1);
    let spans = collector.spans();
    let run = one(&spans, "run");
    assert_eq!(run.status.as_ref().unwrap().code, 2, "{run:?}");
    let check = one(&spans, "check");
    assert_eq!((&check.parent_span_id, check.status.as_ref().unwrap().code), (&run.span_id, 2));
    assert_eq!(attributes(&check.attributes)["syncline.check"], "After");
}

#[test]
fn a_collector_that_is_away_or_silent_changes_nothing_but_is_told() {
    let refusing = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    // It takes connections, and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    for (address, said) in [(refusing, "could not be sent"), (silent.local_addr().unwrap(), "in time")] {
        let world = World::new();
        world.write_local("a.md", "a");
        let mut run = world.command(&["run"]);
        let ran =
            Ran::from(run.env("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{address}")).output().unwrap());
        assert_eq!(ran.code, 0, "{ran:?}");
        assert_eq!(world.agreed("a.md").as_deref(), Some("a"));
        assert_eq!(ran.err.matches("traces").count(), 1, "{}", ran.err);
        assert!(ran.err.contains(said), "{}", ran.err);
    }
}

#[test]
fn what_is_disabled_or_unknown_is_not_sent() {
    let world = World::new();
    let collector = Collector::start();
    for (name, value, said) in [
        ("OTEL_SDK_DISABLED", "true", ""),
        ("OTEL_TRACES_EXPORTER", "none", ""),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "http/protobuf"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "not a url", "no traces are sent"),
    ] {
        let ran = Ran::from(collector.command(&world, &["run"]).env(name, value).output().unwrap());
        assert_eq!(ran.code, 0, "{name}: {ran:?}");
        assert_eq!(ran.err.is_empty(), said.is_empty(), "{name}: {}", ran.err);
        assert!(ran.err.contains(said), "{name}: {}", ran.err);
    }
    assert!(collector.requests.lock().unwrap().is_empty());
}

#[test]
fn what_keeps_running_sends_as_it_goes() {
    let world = World::with("schedule: every 1s");
    world.write_local("a.md", "a");
    let collector = Collector::start();
    let mut serve = collector.command(&world, &["serve"]);
    serve.env("OTEL_BSP_SCHEDULE_DELAY", "200").stdout(Stdio::null()).stderr(Stdio::null());
    let mut serving = serve.spawn().unwrap();
    eventually("its runs are sent", || {
        let spans = collector.spans();
        let root = spans.iter().find(|span| span.name == "start_run");
        root.is_some_and(|root| {
            let told = attributes(&root.attributes);
            let mut children = spans.iter().filter(|span| span.parent_span_id == root.span_id);
            told["syncline.cause"] == "schedule" && children.any(|span| span.name == "run")
        })
    });
    world.json(0, &["run", "--stop"]);
    assert_eq!(serving.wait().unwrap().code(), Some(0));
}
