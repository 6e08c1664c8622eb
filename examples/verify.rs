//! Is all of it still what it was? Looking at every byte of log directories that may be in use.
//!
//! ```text
//! cargo run --release --example verify -- DIR...
//! ```
//!
//! The directories are those of one broker, the one with the catalog of topics first. Nothing in them is changed, and no
//! lock is taken. Prints what was found, a line for each finding. The exit code is 0 where there is no damage, 1 where
//! there is, and 2 where there is nothing to look at.
//!
//! Without arguments it makes a log directory of its own, damages one byte of it, and shows what is said of that.

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::env;
use std::error::Error;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use streamlog::{Broker, NewTopic, Record, Verification};

const USAGE: &str = "\
usage: verify [DIR...]

Looks at every byte of the log directories DIR, changing nothing, and says what
is wrong. Exit code 0: no damage; 1: damage; 2: it could not be looked at.
";

fn main() -> ExitCode {
    let dirs: Vec<PathBuf> = env::args_os().skip(1).map(PathBuf::from).collect();
    if dirs.iter().any(|dir| dir.as_os_str() == "--help") {
        print!("{USAGE}");
        return ExitCode::SUCCESS;
    }
    let verified = if dirs.is_empty() { show() } else { verify(&dirs) };
    match verified {
        // What was shown is damaged on purpose.
        Ok(found) if dirs.is_empty() || found.is_sound() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("verify: {}", chain(&*error));
            ExitCode::from(2)
        }
    }
}

/// Looks at the directories, and prints what was found.
fn verify(dirs: &[PathBuf]) -> Result<Verification, Box<dyn Error>> {
    let builder = dirs.iter().fold(Broker::builder(), |builder, dir| builder.log_dir(dir));
    let found = builder.verify()?;
    println!("{found}");
    Ok(found)
}

/// A directory that is sound, and one byte later is not.
fn show() -> Result<Verification, Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let data = directory.path().join("data");
    let broker = Broker::open(&data)?;
    broker.admin().create_topic(NewTopic::new("orders"))?;
    let orders = broker.topic("orders")?.partition(0)?;
    for number in 0..1000 {
        orders.append(&[Record::new().key("alice").value(&format!("{number} apples"))])?;
    }
    println!("beside the broker that writes it");
    verify(std::slice::from_ref(&data))?;
    broker.close()?;

    let log = data.join("orders-0/00000000000000000000.log");
    let mut bytes = fs::read(&log)?;
    let middle = bytes.len() / 2;
    *bytes.get_mut(middle).ok_or("the log is empty")? ^= 1;
    fs::write(&log, bytes)?;
    println!("\nwith one bit of a byte flipped");
    verify(&[data])
}

/// An error and all that led to it.
fn chain(error: &dyn Error) -> String {
    let cause = error.source().map(chain);
    cause.map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}"))
}
