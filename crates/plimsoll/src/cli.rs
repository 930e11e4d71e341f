//! The command line as it was typed. This file holds no behaviour.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::StyledStr;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::parser::ValueSource;
use clap::{
    ArgGroup, ArgMatches, Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum,
};

/// `plimsoll …`
#[derive(Clone, Debug, Parser)]
#[command(
    name = "plimsoll",
    version,
    about = "Watches finite resources: who holds them, since when, and when they run out",
    long_about = "Plimsoll watches the load lines of services: every finite resource (connections, slots, \
                  memory), who holds it, since when, and when it runs out. It reads logs, metrics and deploy events \
                  from Kafka or files, and tells a human in time.",
    after_help = EXAMPLES,
    subcommand_required = true,
    arg_required_else_help = true,
    max_term_width = 100
)]
pub struct Cli {
    /// Arguments of every command.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

impl Cli {
    /// The command line `words`, whose first word is the program's name.
    pub fn read<T: Into<OsString> + Clone>(
        words: impl IntoIterator<Item = T>,
    ) -> Result<Cli, clap::Error> {
        let words: Vec<OsString> = words.into_iter().map(Into::into).collect();
        let matches = Cli::command()
            .try_get_matches_from(&words)
            .map_err(|error| with_variable(error, &words))?;
        let mut cli = Cli::from_arg_matches(&matches)?;
        match (&mut cli.command, matches.subcommand()) {
            (Command::Replay(replay), Some((_, typed))) => replay.choose(typed)?,
            (Command::Sql(sql), Some((_, typed))) => sql.choose(typed)?,
            (Command::Check(check), Some((_, typed))) => check.choose(typed),
            _ => {}
        }
        Ok(cli)
    }
}

/// The error, with the environment variable that the wrong value comes from, if it was not typed.
fn with_variable(mut error: clap::Error, words: &[OsString]) -> clap::Error {
    let Some(ContextValue::String(argument)) = error.get(ContextKind::InvalidArg) else {
        return error;
    };
    let mut command = &Cli::command();
    for word in words.iter().filter_map(|word| word.to_str()) {
        command = command.find_subcommand(word).unwrap_or(command);
    }
    let ends = |it: char| !it.is_ascii_alphanumeric() && it != '-';
    let long = argument.split(ends).next().unwrap_or_default().to_owned();
    let is_typed = |word: &OsString| word.to_string_lossy().starts_with(&long);
    let all = Cli::command();
    let mut known = command.get_arguments().chain(all.get_arguments());
    let argument = known.find(|known| known.get_long() == long.strip_prefix("--"));
    let variable = argument.and_then(|argument| argument.get_env()).map(ToOwned::to_owned);
    if let Some(variable) = variable
        && std::env::var_os(&variable).is_some()
        && !words.iter().any(is_typed)
    {
        let tip = format!("the value comes from the environment: {}", variable.display());
        let tip = ContextValue::StyledStrs(vec![StyledStr::from(tip)]);
        error.insert(ContextKind::Suggested, tip);
    }
    error
}

/// Two arguments of `command` that cannot stand together.
fn conflict(command: &str, first: &str, second: &str) -> clap::Error {
    let mut all = Cli::command();
    all.build();
    let text = format!("the argument '{first}' cannot be used with '{second}'");
    match all.find_subcommand_mut(command) {
        Some(command) => command.error(ErrorKind::ArgumentConflict, text),
        None => all.error(ErrorKind::ArgumentConflict, text),
    }
}

impl Replay {
    /// Folders win over a definition that only the environment names; both on one line are a
    /// mistake.
    fn choose(&mut self, typed: &ArgMatches) -> Result<(), clap::Error> {
        if self.folders.is_empty() {
            return Ok(());
        }
        if typed.value_source("config") == Some(ValueSource::CommandLine) {
            return Err(conflict("replay", "--config <FILE>", "[FOLDER]..."));
        }
        self.config = None;
        Ok(())
    }
}

impl Sql {
    /// A query wins over a file that only the environment names; both on one line are a mistake.
    fn choose(&mut self, typed: &ArgMatches) -> Result<(), clap::Error> {
        if self.query.is_none() {
            return Ok(());
        }
        if typed.value_source("file") == Some(ValueSource::CommandLine) {
            return Err(conflict("sql", "--file <FILE>", "[QUERY]"));
        }
        self.file = None;
        Ok(())
    }
}

impl Check {
    /// Files that are named win over a definition that only the environment names; both on one
    /// line are all checked.
    fn choose(&mut self, typed: &ArgMatches) {
        let is_typed = typed.value_source("config") == Some(ValueSource::CommandLine);
        match self.config.take() {
            Some(config) if is_typed || self.files.is_empty() => self.files.insert(0, config),
            _ => {}
        }
    }
}

const EXAMPLES: &str = "\
Examples:
  plimsoll demo
      recorded incidents: what would have been paged
  plimsoll scan postgresql.json --limit 200
      point it at your log today
  plimsoll check pipelines/payments/pipeline.yaml
      is the definition right? no network is used
  plimsoll replay pipelines/db-saturation
      what would have been paged, and when
  plimsoll test pipelines/
      do all recorded incidents still page as expected?
  plimsoll run -c /etc/plimsoll/payments.yaml
      the pipeline, live
  plimsoll sql -c /etc/plimsoll/payments.yaml
      ask what it stored

Every flag has an environment variable, which the flag overrides. What all commands share has no \
command in its name: --config is PLIMSOLL_CONFIG, --log-format is PLIMSOLL_LOG_FORMAT. Others have: \
scan --limit is PLIMSOLL_SCAN_LIMIT.

Data goes to stdout, progress and log to stderr. NO_COLOR is honoured.

Exit codes: 0 ok, 1 findings, or a failed test, 2 wrong command line, 69 a dependency is unavailable, \
70 internal error, 78 wrong configuration.";

/// Arguments of every command.
#[derive(Clone, Debug, Args)]
pub struct Global {
    /// How the log on stderr is written; auto is JSON for `run` where no terminal is, and else text
    #[arg(
        long,
        global = true,
        env = "PLIMSOLL_LOG_FORMAT",
        value_enum,
        default_value_t,
        help_heading = "Global options"
    )]
    pub log_format: LogFormat,
    /// Log more; twice for everything
    #[arg(short, long, global = true, action = clap::ArgAction::Count, env = "PLIMSOLL_VERBOSE",
          value_parser = parse_verbose, help_heading = "Global options")]
    pub verbose: u8,
}

/// How the log is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Text for a person: always, except for `run` where no terminal is.
    #[default]
    Auto,
    /// One line for a person.
    Text,
    /// One JSON object per line.
    Json,
}

/// What to do.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Judge recorded incidents on an embedded store, tell what would have been paged, show the page
    Demo(Demo),
    /// Point it at log and metrics files: their format, what could be read, what stands out
    Scan(Scan),
    /// Run a pipeline live: read, judge, page, until SIGTERM
    Run(Run),
    /// Judge history: print what would have been paged, send nothing
    Replay(Replay),
    /// Replay folders of recorded incidents and compare with what each expects
    Test(Test),
    /// Read pipeline definitions and say everything that is wrong with them
    Check(Check),
    /// Ask what a pipeline stored, in SQL, also while it runs
    Sql(Sql),
    /// Work on the tables in ClickHouse
    #[command(subcommand, name = "clickhouse")]
    ClickHouse(ClickHouse),
    /// Print a script that completes this command line in a shell
    Completions(Completions),
    /// Print version, commit and build
    Version,
}

/// `plimsoll demo`
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  plimsoll demo
      every recording in pipelines/, then the page
  plimsoll demo --once pipelines/held-open
      one recording, the story only

Nothing but files is read, nothing is sent, no server and no account is needed. For each incident: \
what would have been said, when, whom it names, how long before users noticed, and what an alarm \
at 90 % of the limit would have said. Then the page is served until Ctrl-C.")]
pub struct Demo {
    /// A folder with a pipeline.yaml and its input, or a folder of such folders
    #[arg(value_name = "FOLDER", default_value = crate::demo::FOLDER)]
    pub folder: PathBuf,
    /// Tell the stories and end
    #[arg(long, env = "PLIMSOLL_DEMO_ONCE")]
    pub once: bool,
    /// Where the page is served; any free port if not given
    #[arg(
        long,
        value_name = "ADDRESS",
        default_value = "127.0.0.1:0",
        env = "PLIMSOLL_DEMO_LISTEN"
    )]
    pub listen: SocketAddr,
    /// Keep the data directories here, for `plimsoll sql`; a temporary folder if not given
    #[arg(long, value_name = "DIR", env = "PLIMSOLL_DEMO_DATA_DIR")]
    pub data_dir: Option<PathBuf>,
}

/// `plimsoll run`
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  plimsoll run -c pipelines/payments/pipeline.yaml
  PLIMSOLL_CONFIG=/etc/plimsoll/payments.yaml KAFKA_PASSWORD=… plimsoll run

The pipeline serves /livez, /readyz, /metrics and /version on its `listen` address. SIGTERM and \
Ctrl-C end it with everything durable; started again, it goes on where it was.")]
pub struct Run {
    /// The pipeline definition (YAML)
    #[arg(short, long, value_name = "FILE", env = "PLIMSOLL_CONFIG")]
    pub config: PathBuf,
}

/// `plimsoll replay`
#[derive(Clone, Debug, Args)]
#[command(
    group = ArgGroup::new("what").required(true).multiple(true).args(["config", "folders"]),
    after_help = "\
Examples:
  plimsoll replay pipelines/db-saturation
      every input that the folder's pipeline.yaml names, as a table
  plimsoll replay -c payments.yaml --source db=postgresql.json.gz --output json
      the file takes the place of the source's Kafka topic; one JSON line per transition
  plimsoll replay -c payments.yaml --source db=p0.jsonl --source db=p1.jsonl
      two partitions of one source, in this order
  plimsoll replay -c payments.yaml --source db=postgresql.json --levels
      also how many units each holder held, whenever that changed

Nothing is sent and nothing is stored. Result on stdout, progress on stderr."
)]
pub struct Replay {
    /// The pipeline definition (YAML)
    #[arg(short, long, value_name = "FILE", env = "PLIMSOLL_CONFIG")]
    pub config: Option<PathBuf>,
    /// Folders with a pipeline.yaml and its input
    #[arg(value_name = "FOLDER")]
    pub folders: Vec<PathBuf>,
    /// Read a source from FILE instead of from where its definition says; repeat it for the same
    /// name to give partitions in that order
    #[arg(
        long = "source",
        value_name = "NAME=FILE",
        env = "PLIMSOLL_REPLAY_SOURCE",
        value_delimiter = ',',
        value_parser = parse_source
    )]
    pub sources: Vec<(String, PathBuf)>,
    /// How transitions are printed; a table on a terminal and JSON otherwise, if not given
    #[arg(short, long, env = "PLIMSOLL_REPLAY_OUTPUT", value_enum)]
    pub output: Option<Output>,
    /// Also print how many units each holder held, whenever it changed
    #[arg(long, env = "PLIMSOLL_REPLAY_LEVELS")]
    pub levels: bool,
}

/// How transitions are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// One JSON object per line.
    Json,
    /// A table for a person.
    Table,
}

/// `plimsoll scan`
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  plimsoll scan postgresql.json --limit 200 --reserved 3
      a server's log: who holds its connections, and when they run out
  plimsoll scan postgresql-*.json.gz deploys.jsonl --limit 200
      several files of one estate, judged together in the order of their times
  journalctl -o cat | plimsoll scan - --map '{time: ts, value: {used: busy}}'
      JSON lines whose fields have unusual names
  plimsoll scan haproxy.log --haproxy '{holder: {tenant: request.0}}'
      captured headers say who holds

The format is found by the first 1000 lines. Nothing is sent and nothing is stored. Exit code 1 if \
there is any finding, 0 if there is none, 69 if no file could be judged.")]
pub struct Scan {
    /// Logs and metrics files, plain, gzip or zstd; `-` is standard input
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// How many units there are: of every resource, or of the one that is named
    #[arg(long = "limit", value_name = "[NAME=]UNITS", env = "PLIMSOLL_SCAN_LIMIT",
          allow_negative_numbers = true, value_delimiter = ',', value_parser = parse_units)]
    pub limits: Vec<Units>,
    /// How many of them ordinary users cannot get
    #[arg(long, value_name = "[NAME=]UNITS", env = "PLIMSOLL_SCAN_RESERVED",
          allow_negative_numbers = true, value_delimiter = ',', value_parser = parse_units)]
    pub reserved: Vec<Units>,
    /// What the resource is called where the lines do not say it
    #[arg(long, value_name = "NAME", env = "PLIMSOLL_SCAN_RESOURCE")]
    pub resource: Option<String>,
    /// The zone of times without one: Europe/Berlin, +01:00; UTC if not given
    #[arg(long, value_name = "ZONE", env = "PLIMSOLL_SCAN_TIMEZONE")]
    pub timezone: Option<String>,
    /// What the fields of JSON lines mean, as `map` in a definition; guessed if not given
    #[arg(long, value_name = "YAML", env = "PLIMSOLL_SCAN_MAP")]
    pub map: Option<String>,
    /// What the parts of HAProxy's lines mean, as `haproxy` in a definition
    #[arg(long, value_name = "YAML", env = "PLIMSOLL_SCAN_HAPROXY")]
    pub haproxy: Option<String>,
    /// How the result is printed
    #[arg(long, env = "PLIMSOLL_SCAN_FORMAT", value_enum, default_value_t)]
    pub format: ScanFormat,
}

/// How the result of a scan is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ScanFormat {
    /// Sentences for a person.
    #[default]
    Text,
    /// One JSON document.
    Json,
}

/// `plimsoll test`
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  plimsoll test pipelines/
      every pipeline folder in it
  plimsoll test pipelines/db-saturation
      one of them

A folder holds pipeline.yaml (the definition), its input, and expected.yaml (who, what kind, not \
before, not after, at most how many pages). Exit code 1 if any verdict differs.")]
pub struct Test {
    /// Folders with pipeline.yaml and expected.yaml, or folders of such folders
    #[arg(value_name = "FOLDER", required = true)]
    pub folders: Vec<PathBuf>,
}

/// `plimsoll check`
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  plimsoll check pipelines/*/pipeline.yaml
  plimsoll check --schema > pipeline.schema.json
      the JSON Schema of definitions, for editors

No connection is opened. Problems are numbered, each with file, line, column and what to do. \
Warnings do not fail the check. Exit code 78 if any definition is wrong.")]
pub struct Check {
    /// Pipeline definitions (YAML)
    #[arg(value_name = "FILE", required_unless_present_any = ["schema", "config"])]
    pub files: Vec<PathBuf>,
    /// One more, as other commands take it
    #[arg(short, long, value_name = "FILE", env = "PLIMSOLL_CONFIG")]
    pub config: Option<PathBuf>,
    /// Print the JSON Schema of definitions, for editors, and check nothing
    #[arg(long, env = "PLIMSOLL_CHECK_SCHEMA", conflicts_with = "files")]
    pub schema: bool,
}

/// `plimsoll sql`
#[derive(Clone, Debug, Args)]
#[command(
    group = ArgGroup::new("where").required(true).multiple(true).args(["config", "data_dir"]),
    after_help = "\
Examples:
  plimsoll sql -c p.yaml --tables
      the tables and table functions, each with what its rows are
  plimsoll sql -c p.yaml 'describe panes'
      the columns of a table, their units and meaning
  plimsoll sql -c p.yaml 'select incident, owner from incidents where is_open'
      one query; a table on a terminal and CSV otherwise
  plimsoll sql -c p.yaml \"select * from incident_window('latest', '15m')\"
      what was held around the newest incident
  plimsoll sql -c p.yaml \"select * from holders_at('db', '2024-03-12 15:10:00')\"
      who held what at a moment (UTC)
  plimsoll sql -c p.yaml 'select * from panes' --format parquet --out p.parquet
      a file for a notebook
  plimsoll sql --data-dir /var/lib/plimsoll/p -f report.sql --format json
      every query of a file; the pipeline may be running
  plimsoll sql -c p.yaml
      a prompt; \\? lists what can be typed

The tables and columns are those in ClickHouse, so that a query gives the same answer in both; docs/sql.md \
has more. Nothing can be changed. A limit that ends a query is said; a query that is refused, wrong or stopped by a \
limit of time or memory ends with exit code 2."
)]
pub struct Sql {
    /// The query; `-` reads it from standard input; without it and --file a prompt opens
    #[arg(value_name = "QUERY")]
    pub query: Option<String>,
    /// The pipeline definition (YAML), which says where its data is
    #[arg(short, long, value_name = "FILE", env = "PLIMSOLL_CONFIG")]
    pub config: Option<PathBuf>,
    /// The data directory, instead of the one that the definition names
    #[arg(long, value_name = "DIR", env = "PLIMSOLL_SQL_DATA_DIR")]
    pub data_dir: Option<PathBuf>,
    /// Answer the queries of FILE, each ended by a semicolon
    #[arg(short, long, value_name = "FILE", env = "PLIMSOLL_SQL_FILE")]
    pub file: Option<PathBuf>,
    /// List the tables and table functions
    #[arg(long, env = "PLIMSOLL_SQL_TABLES", conflicts_with_all = ["query"])]
    pub tables: bool,
    /// How answers are written; a table on a terminal and CSV otherwise, if not given
    #[arg(long, env = "PLIMSOLL_SQL_FORMAT", value_enum)]
    pub format: Option<SqlFormat>,
    /// Write the answer to FILE instead of standard output
    #[arg(long, value_name = "FILE", env = "PLIMSOLL_SQL_OUT")]
    pub out: Option<PathBuf>,
    /// The longest that one query may take, such as 30s or 2m
    #[arg(long, value_name = "TIME", env = "PLIMSOLL_SQL_TIMEOUT", default_value = "30s", value_parser = parse_time)]
    pub timeout: Duration,
    /// The most memory that one query may use, in MiB
    #[arg(long, value_name = "MIB", env = "PLIMSOLL_SQL_MEMORY_MIB", default_value_t = 512)]
    pub memory_mib: usize,
    /// The most rows of one answer; it is cut after them, and says so
    #[arg(long, value_name = "ROWS", env = "PLIMSOLL_SQL_ROWS", default_value_t = 100_000)]
    pub rows: usize,
}

/// How answers to queries are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SqlFormat {
    /// Columns for a person.
    Table,
    /// A header line and one line per row.
    Csv,
    /// One JSON object per row.
    Json,
    /// A Parquet file.
    Parquet,
}

/// `plimsoll clickhouse …`
#[derive(Clone, Debug, Subcommand)]
pub enum ClickHouse {
    /// Create the tables, or bring them to this version
    #[command(after_help = "\
Examples:
  plimsoll clickhouse migrate -c payments.yaml --dry-run
      print the SQL, change nothing
  plimsoll clickhouse migrate -c payments.yaml")]
    Migrate(Migrate),
}

/// `plimsoll clickhouse migrate`
#[derive(Clone, Debug, Args)]
pub struct Migrate {
    /// The pipeline definition (YAML) whose `clickhouse` section says where
    #[arg(short, long, value_name = "FILE", env = "PLIMSOLL_CONFIG")]
    pub config: PathBuf,
    /// Print the statements that would run, and run none
    #[arg(long, env = "PLIMSOLL_CLICKHOUSE_MIGRATE_DRY_RUN")]
    pub dry_run: bool,
}

/// In the environment: how often, or whether at all.
fn parse_verbose(text: &str) -> Result<u8, String> {
    match text {
        "true" | "yes" | "on" => Ok(1),
        "false" | "no" | "off" | "" => Ok(0),
        _ => text.parse().map_err(|_| "it must be 0, 1 or 2, or true or false".to_owned()),
    }
}

fn parse_time(text: &str) -> Result<Duration, String> {
    let time = text.parse::<jiff::SignedDuration>().ok();
    match time.and_then(|time| Duration::try_from(time).ok()) {
        Some(time) if !time.is_zero() => Ok(time),
        _ => Err("it must be a length of time, for example 30s or 2m".to_owned()),
    }
}

/// `plimsoll completions`
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  source <(plimsoll completions bash)
  plimsoll completions zsh > \"${fpath[1]}/_plimsoll\"
  plimsoll completions fish > ~/.config/fish/completions/plimsoll.fish")]
pub struct Completions {
    /// The shell
    #[arg(value_name = "SHELL")]
    pub shell: clap_complete::Shell,
}

impl Completions {
    /// The script.
    pub fn script(&self) -> Vec<u8> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "plimsoll", &mut script);
        script
    }
}

fn parse_source(text: &str) -> Result<(String, PathBuf), String> {
    match text.split_once('=') {
        Some((name, file)) if !name.is_empty() && !file.is_empty() => {
            Ok((name.to_owned(), PathBuf::from(file)))
        }
        _ => Err("it must be NAME=FILE, for example db=postgresql.json".to_owned()),
    }
}

/// How many units of a resource: `200`, `orders-db=200`, `2GiB`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Units {
    /// The resource; every one if there is none.
    pub resource: Option<String>,
    /// How many.
    pub count: u64,
    /// Whether they were written as bytes.
    pub are_bytes: bool,
}

fn parse_units(text: &str) -> Result<Units, String> {
    const SIZES: [(&str, u64); 6] = [
        ("KiB", 1 << 10),
        ("MiB", 1 << 20),
        ("GiB", 1 << 30),
        ("kB", 1_000),
        ("MB", 1_000_000),
        ("GB", 1_000_000_000),
    ];
    let (name, amount) = match text.rsplit_once('=') {
        Some((name, amount)) => (Some(name), amount),
        None => (None, text),
    };
    let size = SIZES.iter().find_map(|(end, size)| Some((amount.strip_suffix(end)?, *size)));
    let (digits, factor) = size.unwrap_or((amount, 1));
    let units = digits.trim().parse::<u64>().ok().and_then(|number| number.checked_mul(factor));
    match (name, units) {
        (Some(""), _) | (_, None) => {
            Err("it must be a whole number, also of a resource: 200, orders-db=200, web=2GiB"
                .into())
        }
        (name, Some(count)) => {
            Ok(Units { resource: name.map(str::to_owned), count, are_bytes: size.is_some() })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::Exit;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::read(line.split(' '))
    }

    #[track_caller]
    fn refuses(line: &str, expected: &str) {
        let error = parse(line).expect_err("the line must be refused");
        assert!(error.to_string().contains(expected), "{error}");
        assert_eq!(error.exit_code(), i32::from(Exit::Usage.code()));
    }

    #[test]
    fn the_definition_of_the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_repeated_source_keeps_its_order() {
        let cli = parse("plimsoll replay -c a.yaml --source db=1 --source ev=2 --source db=3");
        let Command::Replay(replay) = cli.unwrap().command else { panic!("not replay") };
        let sources: Vec<_> = replay.sources.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(sources, ["db", "ev", "db"]);
    }

    #[test]
    fn replay_takes_a_definition_or_folders() {
        assert!(parse("plimsoll replay pipelines/a pipelines/b --output table --levels").is_ok());
        refuses("plimsoll replay", "<--config <FILE>|FOLDER>");
        refuses("plimsoll replay -c a.yaml folder", "cannot be used with");
        refuses("plimsoll replay -c a.yaml --source db", "NAME=FILE");
    }

    #[test]
    fn sql_takes_a_query_or_a_file_from_a_definition_or_a_directory() {
        assert!(parse("plimsoll sql -c a.yaml --data-dir data/a -f - --timeout 2m").is_ok());
        refuses("plimsoll sql query", "<--config <FILE>|--data-dir <DIR>>");
        refuses("plimsoll sql -c a.yaml query -f file", "cannot be used with");
        refuses("plimsoll sql -c a.yaml --timeout 0s", "30s or 2m");
        refuses("plimsoll sql -c a.yaml --format xml", "csv");
    }

    #[test]
    fn a_misspelt_command_is_met_with_the_right_one() {
        refuses("plimsoll chek a.yaml", "'check'");
        refuses("plimsoll clickhouse migrate", "--config");
    }

    #[test]
    fn global_flags_stand_anywhere() {
        let cli = parse("plimsoll run -c a.yaml --log-format json -vv").unwrap();
        assert_eq!((cli.global.log_format, cli.global.verbose), (LogFormat::Json, 2));
    }

    #[test]
    fn every_flag_has_an_environment_variable_that_no_other_command_has() {
        fn visit(command: &clap::Command, path: &str) {
            for argument in command.get_arguments() {
                let variable = argument.get_env().and_then(|name| name.to_str());
                let Some(long) = argument.get_long() else {
                    assert_eq!(variable, None, "what has no flag has no variable");
                    continue;
                };
                if ["help", "version"].contains(&long) {
                    continue;
                }
                let is_shared = argument.is_global_set() || long == "config";
                let command = if is_shared { "" } else { path };
                let flag = long.replace('-', "_").to_uppercase();
                assert_eq!(variable, Some(&*format!("PLIMSOLL_{command}{flag}")), "--{long}");
            }
            for inner in command.get_subcommands() {
                visit(inner, &format!("{path}{}_", inner.get_name().to_uppercase()));
            }
        }
        visit(&Cli::command(), "");
    }

    #[test]
    fn every_exit_code_stands_in_the_help() {
        let help = Cli::command().render_help().to_string();
        let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
        for exit in Exit::ALL {
            assert!(help.contains(&format!("{} {}", exit.code(), exit.meaning())), "{exit:?}");
        }
    }
}
