

#[cfg(target_os = "linux")]
mod kill;
