//! Traces by OpenTelemetry, where its standard variables ask for them. No secret is in them, and nothing waits for them.

use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use opentelemetry::trace::{Status, TracerProvider as _};
use opentelemetry::{Array, KeyValue, StringValue, Value};
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{RetryPolicy, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::resource::EnvResourceDetector;
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanData, SpanExporter};
use tokio::runtime::{Builder, Runtime};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::registry::LookupSpan;

use super::logs::concealed;

/// How long the end of the process waits for what is still to be sent.
const END_TIME_MAX: Duration = Duration::from_secs(2);
/// How long one attempt to send may take.
const SEND_TIME_MAX: Duration = Duration::from_secs(10);
/// Most bytes of an answer that are read.
const ANSWER_BYTES_MAX: usize = 64 << 10;

/// What sends traces, where somebody wants them.
#[derive(Default)]
pub(crate) struct Telemetry(Option<SdkTracerProvider>);

impl Telemetry {
    /// Begins to send traces when the variables of the process ask for it, which nothing is started without; and what is
    /// wrong with them.
    pub(crate) fn begin() -> (Self, Option<String>) {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        match is_wanted(variable).and_then(|wanted| wanted.then(provider).transpose()) {
            Ok(provider) => (Self(provider), None),
            Err(message) => (Self(None), Some(message)),
        }
    }

    /// What listens to the spans of Syncline, and to the lines that are logged in them.
    pub(crate) fn layer<S>(&self) -> Option<impl Layer<S> + use<S>>
    where
        S: tracing::Subscriber + for<'a> LookupSpan<'a>,
    {
        let tracer = self.0.as_ref()?.tracer("syncline");
        let layer = tracing_opentelemetry::layer().with_tracer(tracer);
        // Where in the code a span began is for those who work on it, and threads are none of their business.
        let layer = layer.with_location(false).with_threads(false).with_target(false);
        let layer = layer.with_tracked_inactivity(false);
        Some(layer.with_filter(Targets::new().with_target("syncline", LevelFilter::INFO)))
    }

    /// Sends what is still to be sent, for a moment; what cannot be sent by then is lost.
    pub(crate) fn end(self) {
        let Some(provider) = self.0 else { return };
        if provider.shutdown_with_timeout(END_TIME_MAX).is_err() {
            tracing::warn!("the last traces could not be sent in time");
        }
    }
}

/// Whether the standard variables ask for traces, as `variable` gives them; otherwise why they cannot be had.
fn is_wanted(variable: impl Fn(&str) -> Option<String>) -> Result<bool, String> {
    if variable("OTEL_SDK_DISABLED").is_some_and(|disabled| disabled.eq_ignore_ascii_case("true")) {
        return Ok(false);
    }
    let exporter = variable("OTEL_TRACES_EXPORTER");
    match exporter.as_deref().map(str::trim) {
        None | Some("otlp") => {}
        Some("none") => return Ok(false),
        Some(other) => {
            return Err(format!(
                "OTEL_TRACES_EXPORTER is {other:?}; traces are sent by `otlp` alone, so none are"
            ));
        }
    }
    let endpoint = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];
    if exporter.is_none() && endpoint.into_iter().all(|name| variable(name).is_none()) {
        return Ok(false);
    }
    let protocol = ["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"];
    match protocol.into_iter().find_map(|name| Some((name, variable(name)?))) {
        Some((name, other)) if other != "http/protobuf" => {
            Err(format!("{name} is {other:?}; traces are sent by `http/protobuf` alone, so none are"))
        }
        _ => Ok(true),
    }
}

fn provider() -> Result<SdkTracerProvider, String> {
    let exporter = opentelemetry_otlp::SpanExporter::builder()
        .with_http()
        .with_http_client(Sender::default())
        .with_retry_policy(RetryPolicy::recommended().with_max_retries(1))
        .build()
        // What is written there may hold a password.
        .map_err(|_| "no traces are sent: a variable OTEL_EXPORTER_OTLP_… cannot be used; see its endpoint and its compression")?;
    let own = Resource::builder_empty()
        .with_attribute(KeyValue::new("service.name", "syncline"))
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .with_detector(Box::new(EnvResourceDetector::new()));
    let named = std::env::var("OTEL_SERVICE_NAME").ok().filter(|name| !name.is_empty());
    let resource = match named {
        Some(name) => own.with_attribute(KeyValue::new("service.name", name)),
        None => own,
    };
    let exporter = Clean { exporter, is_down: AtomicBool::new(false) };
    Ok(SdkTracerProvider::builder().with_resource(resource.build()).with_batch_exporter(exporter).build())
}

/// Takes secrets out of what is sent, as they are taken out of lines that are logged.
#[derive(Debug)]
struct Clean<E> {
    exporter: E,
    /// Whether the last attempt failed, so that an outage is told once.
    is_down: AtomicBool,
}

impl<E: SpanExporter> SpanExporter for Clean<E> {
    async fn export(&self, mut batch: Vec<SpanData>) -> OTelSdkResult {
        batch.iter_mut().for_each(clean);
        let result = self.exporter.export(batch).await;
        let was_down = self.is_down.swap(result.is_err(), Ordering::Relaxed);
        if let (Err(error), false) = (&result, was_down) {
            tracing::warn!(%error, "traces could not be sent; nothing else depends on them");
        }
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn shutdown(&self) -> OTelSdkResult {
        self.exporter.shutdown()
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

fn clean(span: &mut SpanData) {
    span.attributes.iter_mut().for_each(clean_value);
    for event in &mut span.events.events {
        event.name = concealed(event.name.as_bytes()).into();
        event.attributes.iter_mut().for_each(clean_value);
    }
    if let Status::Error { description } = &mut span.status {
        *description = concealed(description.as_bytes()).into();
    }
}

fn clean_value(attribute: &mut KeyValue) {
    let clean = |text: &StringValue| StringValue::from(concealed(text.as_str().as_bytes()));
    match &mut attribute.value {
        Value::String(text) => *text = clean(text),
        Value::Array(Array::String(texts)) => texts.iter_mut().for_each(|text| *text = clean(text)),
        _ => {}
    }
}

/// What sends to the collector: a client, and a runtime for the one thread that exports, which has none of its own.
#[derive(Default)]
struct Sender(OnceLock<(Runtime, reqwest::Client)>);

impl fmt::Debug for Sender {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Sender")
    }
}

#[async_trait::async_trait]
impl HttpClient for Sender {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (runtime, client) = match self.0.get() {
            Some(line) => line,
            None => {
                let line = open()?;
                self.0.get_or_init(|| line)
            }
        };
        // Whoever waits for this is the thread that exports.
        runtime.block_on(async {
            let mut answer =
                client.execute(request.try_into()?).await.map_err(reqwest::Error::without_url)?;
            let mut taken = Response::builder().status(answer.status());
            if let Some(headers) = taken.headers_mut() {
                headers.extend(std::mem::take(answer.headers_mut()));
            }
            let mut body = Vec::new();
            while let Some(chunk) = answer.chunk().await.map_err(reqwest::Error::without_url)? {
                if body.len() + chunk.len() > ANSWER_BYTES_MAX {
                    return Err("the answer is too long".into());
                }
                body.extend_from_slice(&chunk);
            }
            Ok(taken.body(Bytes::from(body))?)
        })
    }
}

fn open() -> Result<(Runtime, reqwest::Client), HttpError> {
    // One that another part of the program has chosen serves as well.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client =
        reqwest::Client::builder().timeout(SEND_TIME_MAX).redirect(reqwest::redirect::Policy::none());
    Ok((Builder::new_current_thread().enable_all().build()?, client.build()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(variables: &[(&str, &str)]) -> Result<bool, String> {
        let found = |name: &str| variables.iter().find(|(known, _)| *known == name);
        is_wanted(|name| found(name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn traces_are_sent_only_where_the_variables_ask_for_them_and_they_can_be() {
        const ENDPOINT: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:4318");
        for variables in [
            &[ENDPOINT][..],
            &[("OTEL_TRACES_EXPORTER", "otlp")],
            &[("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "x")],
        ] {
            assert_eq!(wanted(variables), Ok(true), "{variables:?}");
        }
        assert_eq!(wanted(&[ENDPOINT, ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")]), Ok(true));
        for other in [("OTEL_SDK_DISABLED", "TRUE"), ("OTEL_TRACES_EXPORTER", "none")] {
            assert_eq!(wanted(&[ENDPOINT, other]), Ok(false), "{other:?}");
        }
        assert_eq!(wanted(&[("OTEL_SERVICE_NAME", "x"), ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")]), Ok(false));
        for other in [("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"), ("OTEL_TRACES_EXPORTER", "zipkin")] {
            let refused = wanted(&[ENDPOINT, other]).unwrap_err();
            assert!(refused.contains(other.0) && refused.contains(other.1), "{refused}");
        }
    }
}
