//! `holders_at(resource, time)`: who held how many units at a moment.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::catalog::{MemTable, TableFunctionArgs, TableFunctionImpl, TableProvider};
use datafusion::common::plan_err;
use datafusion::error::Result;

use super::{Function, Panes, arguments, panes_where};
use crate::scan::Source;
use crate::tables::{PANE_US, PANES};

/// `holders_at`, as people are told of it.
pub const HOLDERS_AT: Function = Function {
    call: "holders_at(resource, time)",
    comment: "who held how many units of a resource at the end of the pane that contains the time, most first; \
              nobody where no incident's panes reach",
    example: "select service_name, held from holders_at('orders-db', '2024-03-12 15:10:00')",
};

pub(super) struct HoldersAt(pub Arc<Source>);

impl std::fmt::Debug for HoldersAt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(HOLDERS_AT.call)
    }
}

impl TableFunctionImpl for HoldersAt {
    fn call_with_args(&self, arguments: TableFunctionArgs) -> Result<Arc<dyn TableProvider>> {
        let [resource, time] = arguments.exprs() else {
            return plan_err!(
                "{} takes two arguments; for example {}",
                HOLDERS_AT.call,
                HOLDERS_AT.example
            );
        };
        let resource = arguments::text(resource, "the resource", "'orders-db'")?;
        let time_us = arguments::time_us(time, "the time")?;
        let panes = panes_where(&self.0, "resource", resource)?;
        let kept = holders(&panes, time_us);
        let schema = PANES.schema();
        let rows = RecordBatch::try_new(Arc::clone(&schema), panes.take(&schema, &kept)?)?;
        Ok(Arc::new(MemTable::try_new(schema, vec![vec![rows]])?))
    }
}

/// The newest row of each holder at `time_us` that still holds something, most first.
///
/// Incidents that overlap tell the same panes: one of those whose panes reach to that time speaks
/// for all, the one that tells the pane nearest to it.
fn holders(panes: &Panes, time_us: i64) -> Vec<u64> {
    let mut best: Option<(i64, BTreeMap<u64, usize>)> = None;
    let mut row = 0;
    while row < panes.len() {
        let first = row;
        let mut newest: BTreeMap<u64, usize> = BTreeMap::new();
        while row < panes.len() && panes.incident(row) == panes.incident(first) {
            if panes.pane_us(row) <= time_us {
                newest.insert(panes.holder(row), row);
            }
            row += 1;
        }
        let reaches = time_us < panes.pane_us(row - 1) + PANE_US;
        let nearest = newest.values().map(|place| panes.pane_us(*place)).max();
        if let Some(nearest) = nearest
            && reaches
            && best.as_ref().is_none_or(|(known, _)| nearest > *known)
        {
            best = Some((nearest, newest));
        }
    }
    let Some((_, newest)) = best else { return Vec::new() };
    let mut kept: Vec<usize> = newest.into_values().filter(|row| panes.held(*row) > 0).collect();
    kept.sort_by_key(|row| (std::cmp::Reverse(panes.held(*row)), panes.holder(*row)));
    kept.into_iter().map(|row| row as u64).collect()
}
