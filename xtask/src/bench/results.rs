//! The figures, and the file that keeps them.

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::page;
use crate::repository::root;

/// Where the figures are kept, from the root of the repository.
pub const FILE: &str = "bench/results.json";
/// Where people read them.
pub const PAGE: &str = "docs/src/benchmarks.md";

/// What was measured, and on what.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Results {
    /// The machine of the last run.
    pub machine: Machine,
    /// One row for each job and tool.
    pub rows: Vec<Row>,
}

/// The machine and the versions.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
pub struct Machine {
    /// The processor.
    pub cpu: String,
    /// Its cores.
    pub cores: usize,
    /// The memory in GiB.
    pub memory_gib: u64,
    /// The kernel.
    pub kernel: String,
    /// Where the data was.
    pub file_system: String,
    /// The tools and their versions.
    pub tools: Vec<String>,
}

/// All rounds of one tool on one job.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Row {
    /// The job.
    pub job: String,
    /// The tool, or what of it was measured.
    pub tool: String,
    /// The rounds; none when the tool is missing.
    pub samples: Vec<Sample>,
}

/// One round.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Sample {
    /// Wall time in seconds.
    pub wall_s: f64,
    /// User and system time in seconds, children included.
    pub cpu_s: Option<f64>,
    /// Resident memory of the largest process in MiB.
    pub rss_mib: Option<f64>,
    /// How many cores others kept busy meanwhile.
    pub foreign_cores: f64,
}

impl Row {
    /// The median of one figure.
    pub fn median(&self, figure: impl Fn(&Sample) -> Option<f64>) -> Option<f64> {
        let mut values: Vec<f64> = self.samples.iter().filter_map(figure).collect();
        values.sort_by(f64::total_cmp);
        let middle = values.len() / 2;
        match values.len() {
            0 => None,
            count if count % 2 == 1 => Some(values[middle]),
            _ => Some(f64::midpoint(values[middle - 1], values[middle])),
        }
    }

    /// The largest of one figure.
    pub fn max(&self, figure: impl Fn(&Sample) -> Option<f64>) -> Option<f64> {
        self.samples.iter().filter_map(figure).max_by(f64::total_cmp)
    }

    /// The smallest of one figure.
    pub fn min(&self, figure: impl Fn(&Sample) -> Option<f64>) -> Option<f64> {
        self.samples.iter().filter_map(figure).min_by(f64::total_cmp)
    }
}

impl Results {
    /// The row of a job and a tool.
    pub fn row(&self, job: &str, tool: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.job == job && row.tool == tool)
    }

    /// Adds a round.
    pub fn add(&mut self, job: &str, tool: &str, sample: Option<Sample>) {
        let at = self.rows.iter().position(|row| row.job == job && row.tool == tool);
        let at = at.unwrap_or_else(|| {
            self.rows.push(Row { job: job.to_owned(), tool: tool.to_owned(), samples: Vec::new() });
            self.rows.len() - 1
        });
        self.rows[at].samples.extend(sample);
    }

    /// Puts these results in the place of the kept ones of the same jobs, and writes file and page.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn keep(&self) -> Result<()> {
        let mut kept = Self::load()?;
        kept.rows.retain(|row| !self.rows.iter().any(|new| new.job == row.job));
        kept.rows.extend(self.rows.iter().cloned());
        kept.rows.sort_by(|a, b| a.job.cmp(&b.job));
        kept.machine = self.machine.clone();
        let text = serde_json::to_string_pretty(&kept)?;
        std::fs::create_dir_all(root().join("bench"))?;
        std::fs::write(root().join(FILE), text + "\n").context("writing the results")?;
        std::fs::write(root().join(PAGE), page::render(&kept)).context("writing the page")
    }

    /// The kept results.
    ///
    /// # Errors
    /// When the file is there and cannot be understood.
    pub fn load() -> Result<Self> {
        match std::fs::read_to_string(root().join(FILE)) {
            Ok(text) => serde_json::from_str(&text).with_context(|| format!("reading {FILE}")),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error).with_context(|| format!("reading {FILE}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(wall_s: f64) -> Sample {
        Sample { wall_s, cpu_s: None, rss_mib: Some(1.0), foreign_cores: 0.0 }
    }

    #[test]
    fn medians_of_odd_and_even_counts() {
        let mut results = Results::default();
        for wall_s in [5.0, 1.0, 3.0] {
            results.add("j1", "rsync", Some(sample(wall_s)));
        }
        let wall = |sample: &Sample| Some(sample.wall_s);
        assert_eq!(results.row("j1", "rsync").unwrap().median(wall), Some(3.0));
        results.add("j1", "rsync", Some(sample(4.0)));
        let row = results.row("j1", "rsync").unwrap();
        assert_eq!((row.median(wall), row.min(wall), row.max(wall)), (Some(3.5), Some(1.0), Some(5.0)));
        assert_eq!(row.median(|sample| sample.cpu_s), None);
        results.add("j1", "unison", None);
        assert_eq!(results.row("j1", "unison").unwrap().median(wall), None);
    }
}
