//! What may be asked: one statement that reads our tables and changes nothing.

use datafusion::common::plan_datafusion_err;
use datafusion::error::DataFusionError;
use datafusion::execution::SessionState;
use datafusion::execution::context::SQLOptions;
use datafusion::logical_expr::LogicalPlan;
use datafusion::sql::parser::{DFParser, Statement};
use datafusion::sql::sqlparser::ast;

use crate::Error;
use crate::tables::TABLES;

/// The longest text of a query, in bytes.
const SQL_BYTES_MAX: usize = 1024 * 1024;

/// Why a statement gets no plan.
pub(crate) enum Refusal {
    /// The engine cannot plan it.
    Engine(DataFusionError),
    /// It is not a query.
    NotAQuery(String),
}

/// The one statement of `sql`.
pub(crate) fn statement(sql: &str) -> Result<Statement, Error> {
    if sql.len() > SQL_BYTES_MAX {
        return Err(Error::Query(format!("a query may have {SQL_BYTES_MAX} bytes")));
    }
    let mut statements = DFParser::parse_sql(sql).map_err(|error| Error::of(error, 0))?;
    match (statements.pop_front(), statements.len()) {
        (None, _) => {
            Err(Error::Query("there is no query; for example `select * from incidents`".into()))
        }
        (Some(statement), 0) => Ok(statement),
        (Some(_), more) => Err(Error::Query(format!("{} statements; ask one at a time", more + 1))),
    }
}

/// The plan of `statement`, if it only reads.
pub(crate) async fn plan(
    state: &SessionState,
    statement: Statement,
) -> Result<LogicalPlan, Refusal> {
    if let Some(what) = forbidden(&statement) {
        return Err(Refusal::NotAQuery(what));
    }
    if let Some(name) = unknown(&statement) {
        return Err(Refusal::Engine(plan_datafusion_err!("table '{name}' not found")));
    }
    let statement = match described(&statement) {
        Some(sql) => state
            .sql_to_statement(&sql, &state.config().options().sql_parser.dialect)
            .map_err(Refusal::Engine)?,
        None => statement,
    };
    let plan = state.statement_to_plan(statement).await.map_err(Refusal::Engine)?;
    let options =
        SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
    match options.verify_plan(&plan) {
        Ok(()) => Ok(plan),
        Err(error) => Err(Refusal::NotAQuery(format!("`{}` is refused", error.message()))),
    }
}

/// The first words of a statement that is no query, before it is planned: planning some of them
/// looks at files.
fn forbidden(statement: &Statement) -> Option<String> {
    let text = match statement {
        Statement::Explain(explain) => return forbidden(&explain.statement),
        Statement::Statement(inner) => match inner.as_ref() {
            ast::Statement::Query(_)
            | ast::Statement::ExplainTable { .. }
            | ast::Statement::ShowTables { .. }
            | ast::Statement::ShowColumns { .. } => return None,
            ast::Statement::Explain { statement, .. } => {
                return forbidden(&Statement::Statement(statement.clone()));
            }
            other => other.to_string(),
        },
        other => other.to_string(),
    };
    let words: Vec<&str> = text.split_whitespace().take(3).collect();
    Some(format!("`{} …` is not a query", words.join(" ")))
}

/// `DESCRIBE t` and `SHOW TABLES` as queries that also give the comments.
fn described(statement: &Statement) -> Option<String> {
    let Statement::Statement(inner) = statement else { return None };
    let of = |table: &ast::ObjectName| {
        let name = name_of(table)?.replace('\'', "''");
        Some(format!(
            "select column_name, data_type, is_nullable, column_comment \
             from information_schema.columns where table_name = '{name}' order by ordinal_position"
        ))
    };
    match inner.as_ref() {
        ast::Statement::ExplainTable { table_name, .. } => of(table_name),
        ast::Statement::ShowTables { .. } => Some(
            "select table_name, table_comment from information_schema.tables order by position"
                .to_owned(),
        ),
        _ => None,
    }
}

/// The table that `DESCRIBE t` asks for, if it does not exist.
fn unknown(statement: &Statement) -> Option<String> {
    let Statement::Statement(inner) = statement else { return None };
    let ast::Statement::ExplainTable { table_name, .. } = inner.as_ref() else { return None };
    name_of(table_name).filter(|name| TABLES.iter().all(|table| table.name != name))
}

/// The last part of a name, as the engine reads it.
fn name_of(table: &ast::ObjectName) -> Option<String> {
    let name = table.0.last().and_then(|part| part.as_ident())?;
    Some(match name.quote_style {
        Some(_) => name.value.clone(),
        None => name.value.to_lowercase(),
    })
}
