//! `plimsoll`: the program's table of contents. The library beside it does the work.

// They panic when nobody reads any more; `writeln!` gives an error, which ends the program quietly.
#![warn(clippy::print_stdout, clippy::print_stderr)]

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use plimsoll::cli::{self, Cli, Command};
use plimsoll::config::{Config, Problems, Purpose, schema};
use plimsoll::exit::Exit;
use plimsoll::expected::Expected;
use plimsoll::terminal::{self, width_of, wrapped};
use plimsoll::{check, demo, golden, output, replay, run, scan, sql, version};
use plimsoll_deliver::ClickHouse;
use tokio_util::sync::CancellationToken;

fn main() -> ExitCode {
    let cli = Cli::read(std::env::args_os()).unwrap_or_else(|error| error.exit());
    if let Err(error) = start_log(&cli) {
        terminal::tell(&format!("plimsoll: {}", terminal::told(&error)));
        return Exit::Internal.into();
    }
    match act(cli.command) {
        Ok(exit) => exit.into(),
        Err(error) if is_broken_pipe(&error) => Exit::Ok.into(),
        Err(error) => {
            terminal::tell(&format!("plimsoll: {}{}", counted(&error), terminal::told(&error)));
            exit_of(&error).into()
        }
    }
}

fn act(command: Command) -> anyhow::Result<Exit> {
    match command {
        Command::Demo(demo) => show_recordings(&demo),
        Command::Scan(scan) => scan::scan(&scan, width_of(&io::stdout()), &mut io::stdout().lock()),
        Command::Run(run) => live(&run),
        Command::Replay(replay) => judge_history(replay),
        Command::Test(test) => test_folders(&test),
        Command::Check(check) if check.schema => {
            writeln!(io::stdout(), "{:#}", schema()?)?;
            Ok(Exit::Ok)
        }
        Command::Check(check) => {
            let width = width_of(&io::stdout());
            Ok(check::check(&check.files, width, &mut io::stdout().lock())?)
        }
        Command::Sql(arguments) => sql::sql(&arguments),
        Command::ClickHouse(cli::ClickHouse::Migrate(migrate)) => migrate_tables(&migrate),
        Command::Completions(completions) => {
            io::stdout().write_all(&completions.script())?;
            Ok(Exit::Ok)
        }
        Command::Version => {
            writeln!(io::stdout(), "{}", version::long())?;
            Ok(Exit::Ok)
        }
    }
}

fn show_recordings(demo: &cli::Demo) -> anyhow::Result<Exit> {
    let temporary;
    let data = match &demo.data_dir {
        Some(data) => data.as_path(),
        None => {
            temporary = tempfile::tempdir().context("cannot make a temporary folder")?;
            temporary.path()
        }
    };
    let shown = demo::judge(&demo.folder, data, |recording| {
        let mut out = io::stdout().lock();
        out.write_all(wrapped(&recording.text(), width_of(&out)).as_bytes())
    })?;
    if demo.once {
        return Ok(Exit::Ok);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let cancel = CancellationToken::new();
        tokio::spawn(cancel_on_signal(cancel.clone()));
        let listener = demo::listen(demo.listen).await?;
        writeln!(io::stdout(), "look at http://{}/ (Ctrl-C ends)", listener.local_addr()?)?;
        demo::serve(shown, listener, cancel).await
    })?;
    Ok(Exit::Ok)
}

fn live(run: &cli::Run) -> anyhow::Result<Exit> {
    let config = load(&run.config, Purpose::Run)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let stopped = runtime.block_on(async {
        let cancel = CancellationToken::new();
        tokio::spawn(cancel_on_signal(cancel.clone()));
        run::run(config, cancel).await
    });
    runtime.shutdown_timeout(std::time::Duration::from_secs(2));
    stopped.map(|()| Exit::Ok)
}

async fn cancel_on_signal(cancel: CancellationToken) {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut terminate), Ok(mut interrupt)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        return;
    };
    tokio::select! {
        _ = terminate.recv() => tracing::info!("SIGTERM: stopping"),
        _ = interrupt.recv() => tracing::info!("SIGINT: stopping"),
    }
    cancel.cancel();
}

fn judge_history(arguments: cli::Replay) -> anyhow::Result<Exit> {
    let mut configs = Vec::new();
    if let Some(file) = &arguments.config {
        configs.push(load(file, Purpose::Replay)?);
    }
    for path in &arguments.folders {
        for folder in golden::folders(path)? {
            configs.push(load(&folder.join("pipeline.yaml"), Purpose::Replay)?);
        }
    }
    for config in &mut configs {
        let mut replaced: Vec<&str> =
            arguments.sources.iter().map(|(name, _)| name.as_str()).collect();
        replaced.dedup();
        for name in replaced {
            let files = arguments.sources.iter().filter(|(other, _)| other == name);
            config.override_source(name, files.map(|(_, file)| file.clone()).collect())?;
        }
    }
    let as_table = match arguments.output {
        Some(output) => output == cli::Output::Table,
        None => io::stdout().is_terminal(),
    };
    for config in &configs {
        if as_table && !arguments.levels {
            let outcome = golden::replay(config, None)?;
            let text = outcome.story.text(&outcome.pipeline, &outcome.report, outcome.took);
            let mut out = io::stdout().lock();
            out.write_all(wrapped(&text, width_of(&out)).as_bytes())?;
        } else {
            print_lines(config, arguments.levels)?;
        }
    }
    Ok(Exit::Ok)
}

/// Transitions, and levels if asked for, as JSON lines.
fn print_lines(config: &Config, levels: bool) -> anyhow::Result<()> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    let mut last = String::new();
    let report = replay::replay(config, |tick, judge, step, decided_at| {
        for transition in &step.transitions {
            writeln!(out, "{}", output::json_line(transition, decided_at))?;
        }
        if levels {
            let line = output::levels(judge);
            if line != last {
                output::write_levels(&mut out, tick.second, &line)?;
                last = line;
            }
        }
        Ok(())
    })?;
    out.flush()?;
    tracing::info!(
        pipeline = config.name,
        records = report.records,
        rejected = report.rejected(),
        ticks = report.ticks,
        "replayed"
    );
    Ok(())
}

fn test_folders(test: &cli::Test) -> anyhow::Result<Exit> {
    let mut exit = Exit::Ok;
    for path in &test.folders {
        for folder in golden::cases(path)? {
            let config = load(&folder.join("pipeline.yaml"), Purpose::Replay)?;
            let expected = Expected::load(&folder.join("expected.yaml"))?;
            let outcome = golden::replay(&config, Some(&expected))?;
            let verdict = if outcome.failures.is_empty() { "ok" } else { "FAILED" };
            let mut out = io::stdout().lock();
            writeln!(out, "{} … {verdict}", folder.display())?;
            if !outcome.failures.is_empty() {
                exit = Exit::Findings;
                for failure in &outcome.failures {
                    writeln!(out, "  {failure}")?;
                }
                let story = outcome.story.text(&outcome.pipeline, &outcome.report, outcome.took);
                out.write_all(wrapped(&story, width_of(&out)).as_bytes())?;
            }
        }
    }
    Ok(exit)
}

fn migrate_tables(migrate: &cli::Migrate) -> anyhow::Result<Exit> {
    let config = load(&migrate.config, Purpose::Run)?;
    let section = config.clickhouse.clone();
    let section = section.ok_or_else(|| NoClickHouse(migrate.config.clone()))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let clickhouse = ClickHouse::new("clickhouse", section)?;
    let applied = runtime.block_on(clickhouse.migrate(migrate.dry_run))?;
    let mut out = io::stdout().lock();
    for one in &applied {
        if migrate.dry_run {
            writeln!(out, "-- {:04} {}\n{}", one.version, one.name, one.sql)?;
        } else {
            writeln!(out, "applied {:04} {}", one.version, one.name)?;
        }
    }
    if applied.is_empty() {
        writeln!(out, "the tables are up to date")?;
    }
    Ok(Exit::Ok)
}

/// The definition does not say where the tables are.
#[derive(Debug, thiserror::Error)]
#[error("`{}` has no `clickhouse` section; add one: `clickhouse: {{url: \"https://host:8443\"}}`", .0.display())]
struct NoClickHouse(PathBuf);

/// The definition, its warnings told.
fn load(file: &Path, purpose: Purpose) -> anyhow::Result<Config> {
    let (config, warnings) = Config::load_for(file, purpose)?;
    for warning in &warnings {
        let next = if warning.advice.is_empty() { "" } else { "; " };
        tracing::warn!("{}: {}{next}{}", file.display(), warning.what, warning.advice);
    }
    Ok(config)
}

/// A log for `run`; what a person should know from commands that end by themselves.
fn start_log(cli: &Cli) -> anyhow::Result<()> {
    let is_run = matches!(cli.command, Command::Run(_));
    let level = match cli.global.verbose {
        0 if is_run => "info,rdkafka=warn",
        0 => "warn",
        1 => "debug,rdkafka=info",
        _ => "trace",
    };
    let filter = tracing_subscriber::EnvFilter::try_new(level)?;
    let log = tracing_subscriber::fmt().with_writer(io::stderr).with_env_filter(filter);
    let is_text = match cli.global.log_format {
        cli::LogFormat::Auto => !is_run || io::stderr().is_terminal(),
        cli::LogFormat::Text => true,
        cli::LogFormat::Json => false,
    };
    if is_text {
        let color = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        let log = log.with_ansi(color).with_target(false);
        if is_run { log.init() } else { log.without_time().init() }
    } else {
        log.json().flatten_event(true).init();
    }
    Ok(())
}

/// How many problems follow, if they are numbered.
fn counted(error: &anyhow::Error) -> String {
    match error.downcast_ref::<Problems>() {
        Some(Problems(problems)) if problems.len() > 1 => {
            format!("{} problems\n\n", problems.len())
        }
        _ => String::new(),
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let cause = error.downcast_ref::<io::Error>();
    cause.is_some_and(|cause| cause.kind() == io::ErrorKind::BrokenPipe)
}

/// Which exit code says what went wrong.
fn exit_of(error: &anyhow::Error) -> Exit {
    if let Some(exit) = sql::exit_of(error) {
        return exit;
    }
    let is = |what: fn(&(dyn std::error::Error + 'static)) -> bool| error.chain().any(what);
    let of_store = error.chain().find_map(|cause| cause.downcast_ref::<plimsoll_store::Error>());
    if is(|cause| {
        cause.is::<Problems>()
            || cause.is::<plimsoll::config::OverrideError>()
            || cause.is::<NoClickHouse>()
    }) {
        Exit::Configuration
    } else if is(|cause| {
        cause.is::<scan::UsageError>()
            || cause.is::<demo::NotEmpty>()
            || cause.is::<replay::NoFiles>()
    }) {
        Exit::Usage
    } else if let Some(error) = of_store {
        match error {
            plimsoll_store::Error::OtherPipeline { .. } => Exit::Configuration,
            plimsoll_store::Error::Conflict { .. } | plimsoll_store::Error::Invalid(_) => {
                Exit::Internal
            }
            _ => Exit::Unavailable,
        }
    } else if is(|cause| {
        cause.is::<plimsoll::engine::NotDurable>()
            || cause.is::<plimsoll_deliver::Error>()
            || cause.is::<plimsoll_ingest::Error>()
            || cause.is::<plimsoll_detect::Error>()
            || cause.is::<golden::FolderError>()
            || cause.is::<io::Error>()
    }) {
        Exit::Unavailable
    } else {
        Exit::Internal
    }
}
