//! What a table is called, what its columns are, and what they mean.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};

/// What a column holds. Each has one type here and one in ClickHouse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Text; absent is empty.
    Text,
    /// A list of texts.
    Texts,
    /// True or false.
    Flag,
    /// A moment in UTC, to the microsecond.
    Time,
    /// A count below 2³².
    Small,
    /// A count.
    Count,
    /// A whole number.
    Whole,
    /// A number.
    Number,
}

impl Kind {
    /// The Arrow type.
    pub fn data_type(self) -> DataType {
        match self {
            Kind::Text => DataType::Utf8,
            Kind::Texts => DataType::List(Arc::new(Field::new_list_field(DataType::Utf8, false))),
            Kind::Flag => DataType::Boolean,
            Kind::Time => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            Kind::Small => DataType::UInt32,
            Kind::Count => DataType::UInt64,
            Kind::Whole => DataType::Int64,
            Kind::Number => DataType::Float64,
        }
    }

    /// The type as people are told it, and as `CAST` takes it.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Text => "text",
            Kind::Texts => "text[]",
            Kind::Flag => "boolean",
            Kind::Time => "timestamp (UTC)",
            Kind::Small => "integer unsigned",
            Kind::Count => "bigint unsigned",
            Kind::Whole => "bigint",
            Kind::Number => "double",
        }
    }
}

/// One column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name, with its unit at the end where it has one.
    pub name: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// Whether it may be NULL.
    pub nullable: bool,
    /// What it means.
    pub comment: &'static str,
}

impl Column {
    pub(crate) const fn new(name: &'static str, kind: Kind, comment: &'static str) -> Column {
        Column { name, kind, nullable: false, comment }
    }

    pub(crate) const fn or_null(self) -> Column {
        Column { nullable: true, ..self }
    }

    fn field(&self) -> Field {
        Field::new(self.name, self.kind.data_type(), self.nullable)
    }
}

/// One table that can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Table {
    /// Its name.
    pub name: &'static str,
    /// What a row of it is.
    pub comment: &'static str,
    /// Its columns, in order, in lists that tables may share.
    pub columns: &'static [&'static [Column]],
}

impl Table {
    /// Its columns, in order.
    pub fn columns(&self) -> impl Iterator<Item = &'static Column> + use<> {
        self.columns.iter().copied().flatten()
    }

    /// Its Arrow schema.
    pub fn schema(&self) -> SchemaRef {
        Arc::new(Schema::new(self.columns().map(Column::field).collect::<Vec<_>>()))
    }
}
