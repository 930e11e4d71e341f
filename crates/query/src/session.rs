//! The engine with our tables in it, and nothing else to read.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray, UInt32Array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::catalog::{
    CatalogProvider, CatalogProviderList, MemTable, MemoryCatalogProvider,
    MemoryCatalogProviderList, MemorySchemaProvider, SchemaProvider, TableProvider,
};
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::error::Result;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::{GreedyMemoryPool, MemoryConsumer, MemoryReservation};
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::execution::{SessionState, SessionStateBuilder, SessionStateDefaults};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::prelude::SessionConfig;

use crate::functions::{self, FUNCTIONS};
use crate::limits::Limits;
use crate::scan::{self, Source};
use crate::tables::TABLES;

/// Where the tables are.
const CATALOG: &str = "plimsoll";
const SCHEMA: &str = "public";

/// Functions that are not there: those that make texts or lists of any length out of nothing,
/// beyond the limit of memory, and those that speak of the engine instead of the tables.
const WITHHELD: [&str; 9] = [
    "repeat",
    "lpad",
    "rpad",
    "array_repeat",
    "array_resize",
    "range",
    "generate_series",
    "version",
    "input_file_name",
];

/// An engine over `source`, for one query.
pub(crate) fn open(source: &Arc<Source>, limits: &Limits) -> Result<SessionState> {
    // One partition: the order of rows, and of sums of floats, never depends on the machine.
    let config = SessionConfig::new()
        .with_target_partitions(1)
        .with_create_default_catalog_and_schema(false)
        .with_information_schema(false)
        .with_default_catalog_and_schema(CATALOG, SCHEMA);
    let no_disk = DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled);
    let runtime = RuntimeEnvBuilder::new()
        .with_memory_pool(Arc::new(GreedyMemoryPool::new(limits.memory_bytes)))
        .with_disk_manager_builder(no_disk)
        .build_arc()?;
    let files = ObjectStoreUrl::local_filesystem();
    runtime.object_store_registry.deregister_store(files.as_ref())?;
    let mut scalar = SessionStateDefaults::default_scalar_functions();
    scalar.retain(|function| !WITHHELD.contains(&function.name()));
    let mut state = SessionStateBuilder::new()
        .with_config(config)
        .with_runtime_env(runtime)
        .with_catalog_list(catalogs(source)?)
        .with_expr_planners(SessionStateDefaults::default_expr_planners())
        .with_scalar_functions(scalar)
        .with_aggregate_functions(SessionStateDefaults::default_aggregate_functions())
        .with_window_functions(SessionStateDefaults::default_window_functions())
        .with_table_function_list(SessionStateDefaults::default_table_functions())
        .build();
    for (name, function) in functions::of(source) {
        state.register_udtf(name, function);
    }
    Ok(state)
}

/// `plan` with a point at which it can be stopped in every operator that makes many rows of one.
///
/// A stream is stopped when it yields. Tables yield as they are read; a join may be busy with two
/// batches for hours.
pub(crate) fn interruptible(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    let multiplies =
        |plan: &Arc<dyn ExecutionPlan>| plan.children().len() > 1 || plan.name() == "UnnestExec";
    let interrupted = plan.transform_up(|plan| match multiplies(&plan) {
        true => Ok(Transformed::yes(Arc::new(CooperativeExec::new(plan)) as _)),
        false => Ok(Transformed::no(plan)),
    });
    interrupted.data()
}

/// Memory of the engine for what is kept of its answer.
pub(crate) fn memory(state: &SessionState) -> MemoryReservation {
    MemoryConsumer::new("answer").register(&state.runtime_env().memory_pool)
}

fn catalogs(source: &Arc<Source>) -> Result<Arc<dyn CatalogProviderList>> {
    let tables = MemorySchemaProvider::new();
    for table in TABLES {
        tables.register_table(table.name.to_owned(), scan::provider(table, source)?)?;
    }
    let about = MemorySchemaProvider::new();
    about.register_table("tables".to_owned(), fixed(about_tables()?)?)?;
    about.register_table("columns".to_owned(), fixed(about_columns()?)?)?;
    let catalog = MemoryCatalogProvider::new();
    catalog.register_schema(SCHEMA, Arc::new(tables))?;
    catalog.register_schema("information_schema", Arc::new(about))?;
    let list = MemoryCatalogProviderList::new();
    list.register_catalog(CATALOG.to_owned(), Arc::new(catalog));
    Ok(Arc::new(list))
}

fn fixed(rows: RecordBatch) -> Result<Arc<dyn TableProvider>> {
    Ok(Arc::new(MemTable::try_new(rows.schema(), vec![vec![rows]])?))
}

/// `information_schema.tables`: the tables, then our table functions.
fn about_tables() -> Result<RecordBatch> {
    let mut rows: Vec<[&str; 3]> =
        TABLES.iter().map(|table| [table.name, "BASE TABLE", table.comment]).collect();
    rows.extend(FUNCTIONS.iter().map(|function| [function.call, "FUNCTION", function.comment]));
    let positions = UInt32Array::from_iter_values(1..=rows.len() as u32);
    let columns = vec![
        texts(rows.iter().map(|_| CATALOG)),
        texts(rows.iter().map(|_| SCHEMA)),
        texts(rows.iter().map(|row| row[0])),
        texts(rows.iter().map(|row| row[1])),
        texts(rows.iter().map(|row| row[2])),
        Arc::new(positions),
    ];
    const NAMES: [&str; 5] =
        ["table_catalog", "table_schema", "table_name", "table_type", "table_comment"];
    Ok(RecordBatch::try_new(schema(&NAMES, &["position"]), columns)?)
}

/// `information_schema.columns`, with their meaning.
fn about_columns() -> Result<RecordBatch> {
    let (mut rows, mut positions): (Vec<[&str; 5]>, Vec<u32>) = Default::default();
    for table in TABLES {
        for (position, column) in (1..).zip(table.columns()) {
            let nullable = if column.nullable { "YES" } else { "NO" };
            rows.push([table.name, column.name, column.kind.name(), nullable, column.comment]);
            positions.push(position);
        }
    }
    let mut columns = vec![texts(rows.iter().map(|_| CATALOG)), texts(rows.iter().map(|_| SCHEMA))];
    columns.extend((0..5).map(|place| texts(rows.iter().map(|row| row[place]))));
    columns.push(Arc::new(UInt32Array::from(positions)));
    const NAMES: [&str; 7] = [
        "table_catalog",
        "table_schema",
        "table_name",
        "column_name",
        "data_type",
        "is_nullable",
        "column_comment",
    ];
    Ok(RecordBatch::try_new(schema(&NAMES, &["ordinal_position"]), columns)?)
}

fn schema(texts: &[&str], numbers: &[&str]) -> SchemaRef {
    let texts = texts.iter().map(|name| Field::new(*name, DataType::Utf8, false));
    let numbers = numbers.iter().map(|name| Field::new(*name, DataType::UInt32, false));
    Arc::new(Schema::new(texts.chain(numbers).collect::<Vec<_>>()))
}

fn texts<'a>(values: impl Iterator<Item = &'a str>) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(values))
}
