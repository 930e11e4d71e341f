//! What a line costs, from bytes to incidents: `docs/performance.md` has the figures.
//!
//! `cargo run --release -p plimsoll --example bench -- [--lines N] [--rounds N] [--kafka HOST:PORT]`
//! `cargo build --release -p plimsoll && cargo run --release -p plimsoll --example bench -- --idle`
//!
//! A workload is generated from a seed into a temporary folder. Then every stage runs as a process
//! of its own, in turn, for several rounds, and says what it used. At the end the incidents of each
//! path are compared with those of a plain slow implementation.

mod idle;
mod kafka;
mod slow;
mod stages;
mod table;
mod usage;
mod workload;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};
use clap::{Parser, ValueEnum};

use stages::Outcome;
use table::Table;
use workload::Workload;

/// Measures what a line costs.
#[derive(Debug, Parser)]
struct Arguments {
    /// Lines of the workload
    #[arg(long, default_value_t = 1_000_000)]
    lines: u64,
    /// From which the workload is made; the same seed gives the same bytes
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How often each stage runs
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Measure the way through Kafka too, at this broker; a topic is made and deleted
    #[arg(long, value_name = "HOST:PORT")]
    kafka: Option<String>,
    /// Measure start-up and idle memory of `plimsoll run`, and nothing else
    #[arg(long)]
    idle: bool,
    /// Run one stage over the workload in `--folder`: how the command calls itself
    #[arg(long, hide = true, requires = "folder")]
    stage: Option<Stage>,
    #[arg(long, hide = true)]
    folder: Option<PathBuf>,
    #[arg(long, hide = true, default_value = "")]
    topic: String,
}

/// What one process does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Stage {
    Generate,
    Decode,
    File,
    FileWithoutGrowth,
    Produce,
    Poll,
    Kafka,
    SlowFile,
    SlowKafka,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    match (arguments.stage, &arguments.folder) {
        (Some(stage), Some(folder)) => {
            let outcome = run_stage(stage, folder, &arguments)?;
            println!("{}", serde_json::to_string(&outcome)?);
            Ok(())
        }
        _ if arguments.idle => idle::measure(),
        _ => measure(&arguments),
    }
}

fn run_stage(stage: Stage, folder: &Path, arguments: &Arguments) -> anyhow::Result<Outcome> {
    let workload = Workload::at(folder);
    let broker = || arguments.kafka.as_deref().context("this stage needs --kafka");
    let topic = arguments.topic.as_str();
    match stage {
        Stage::Generate => workload.generate(arguments.lines, arguments.seed),
        Stage::Decode => stages::decode(&workload),
        Stage::File => stages::file_to_incidents(&workload.config()?),
        Stage::FileWithoutGrowth => stages::file_to_incidents(&workload.config_without_growth()?),
        Stage::SlowFile => slow::incidents(&workload, 1),
        Stage::SlowKafka => slow::incidents(&workload, kafka::PARTITIONS),
        Stage::Produce => kafka::produce(&workload, broker()?, topic),
        Stage::Poll => kafka::poll(broker()?, topic),
        Stage::Kafka => kafka::to_incidents(&workload, broker()?, topic),
    }
}

fn measure(arguments: &Arguments) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let topic = format!("plimsoll-bench-{}", std::process::id());
    let run = |stage| child(stage, folder.path(), &topic, arguments);
    let made = run(Stage::Generate)?;
    println!(
        "workload: {} lines of {} bytes on average, seed {}",
        made.lines,
        made.bytes / made.lines.max(1),
        arguments.seed
    );
    let mut measured = vec![Stage::Decode, Stage::FileWithoutGrowth, Stage::File];
    if let Some(broker) = &arguments.kafka {
        kafka::create_topic(broker, &topic)?;
        run(Stage::Produce)?;
        measured.extend([Stage::Poll, Stage::Kafka]);
    }
    let mut table = Table::default();
    for _ in 0..arguments.rounds {
        for &stage in &measured {
            table.add(stage, run(stage)?);
        }
    }
    if let Some(broker) = &arguments.kafka {
        kafka::delete_topic(broker, &topic)?;
    }
    print!("{}", table.text());
    compare(&table, Stage::File, &run(Stage::SlowFile)?)?;
    if arguments.kafka.is_some() {
        compare(&table, Stage::Kafka, &run(Stage::SlowKafka)?)?;
    }
    Ok(())
}

/// Runs one stage as a process of its own, so that what it used is its own.
fn child(
    stage: Stage,
    folder: &Path,
    topic: &str,
    arguments: &Arguments,
) -> anyhow::Result<Outcome> {
    let name = stage.to_possible_value().context("every stage has a name")?;
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["--stage", name.get_name(), "--topic", topic, "--folder"]).arg(folder);
    command.args(["--lines", &arguments.lines.to_string(), "--seed", &arguments.seed.to_string()]);
    if let Some(broker) = &arguments.kafka {
        command.args(["--kafka", broker]);
    }
    let output = command.stderr(Stdio::inherit()).output()?;
    ensure!(output.status.success(), "stage `{}` failed: {}", name.get_name(), output.status);
    serde_json::from_slice(&output.stdout)
        .with_context(|| format!("stage `{}` did not say what it used", name.get_name()))
}

fn compare(table: &Table, stage: Stage, slow: &Outcome) -> anyhow::Result<()> {
    let name = table::name(stage);
    for outcome in table.outcomes(stage) {
        ensure!(
            outcome.transitions == slow.transitions && outcome.digest == slow.digest,
            "{name}: {} transitions, and the slow implementation has others: {}",
            outcome.transitions,
            slow.transitions,
        );
    }
    println!("{name}: {} transitions, equal to the slow implementation's", slow.transitions);
    for headline in &slow.headlines {
        println!("  {headline}");
    }
    Ok(())
}
