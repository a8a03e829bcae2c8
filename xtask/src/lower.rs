//! Turns type expressions into shapes by looking up what the names in them mean.

use std::collections::BTreeMap;

use crate::Outcome;
use crate::amend::{NARROWER, REST_TYPES};
use crate::catalog::{Catalog, Fields};
use crate::model::DELTAS;
use crate::shape::{Field, Shape};
use crate::types::{Expr, Member, parse};

/// All names a type expression may refer to.
pub struct Names(BTreeMap<String, Definition>);

enum Definition {
    Object(Vec<Member>),
    Words(Vec<String>),
}

impl Names {
    /// Gathers the named types of the catalog and the amended ones.
    pub fn of(catalog: &Catalog) -> Outcome<Names> {
        let mut names = BTreeMap::new();
        for (name, words) in &catalog.enums {
            names.insert(name.clone(), Definition::Words(words.clone()));
        }
        for (name, named) in &catalog.types {
            let mut members = members(&named.fields)?;
            for (_, field, expression) in NARROWER.iter().filter(|(owner, ..)| owner == name) {
                let member = members.iter_mut().find(|member| member.name == *field);
                let member =
                    member.ok_or(format!("amended field {name}.{field} does not exist"))?;
                member.value = parse(expression)?;
            }
            names.insert(name.clone(), Definition::Object(members));
        }
        for (name, expression) in REST_TYPES {
            let Expr::Object(members) = parse(expression)? else {
                return Err(format!("amended type {name} is not an object"));
            };
            if names.insert((*name).to_owned(), Definition::Object(members)).is_some() {
                return Err(format!("amended type {name} is in the catalog, too"));
            }
        }
        Ok(Names(names))
    }

    /// The shape behind a name.
    pub fn define(&self, name: &str) -> Outcome<Shape> {
        match self.0.get(name) {
            Some(Definition::Object(members)) => self.object(members).map(Shape::Object),
            Some(Definition::Words(words)) => Ok(Shape::OneOf(words.clone())),
            None => Err(format!("type `{name}` is not defined")),
        }
    }

    /// The fields of a message, in the order of their names.
    pub fn fields(&self, fields: &Fields) -> Outcome<Vec<Field>> {
        self.object(&members(fields)?)
    }

    fn object(&self, members: &[Member]) -> Outcome<Vec<Field>> {
        let field = |member: &Member| {
            Ok(Field {
                name: member.name.clone(),
                required: !member.optional,
                shape: self.lower(&member.value)?,
                generations: member.generations.clone(),
            })
        };
        members.iter().map(field).collect()
    }

    /// The shape of an expression.
    pub fn lower(&self, expr: &Expr) -> Outcome<Shape> {
        Ok(match expr {
            Expr::Name(name) => self.name(name)?,
            Expr::Literal(word) => Shape::OneOf(vec![word.clone()]),
            Expr::Union(members) => self.union(members)?,
            Expr::Intersection(parts) => {
                let mut fields = Vec::new();
                for part in parts {
                    fields.extend(self.fields_of(part)?);
                }
                Shape::Object(fields)
            }
            Expr::Array(item) => Shape::Array(Box::new(self.lower(item)?)),
            Expr::Tuple(items) => {
                Shape::Tuple(items.iter().map(|item| self.lower(item)).collect::<Outcome<_>>()?)
            }
            Expr::Object(members) => Shape::Object(self.object(members)?),
            Expr::Generic(name, arguments) => self.generic(name, arguments)?,
        })
    }

    fn name(&self, name: &str) -> Outcome<Shape> {
        Ok(match name {
            "unknown" => Shape::Any,
            "null" => Shape::Null,
            "boolean" => Shape::Boolean,
            "true" => Shape::Flag(true),
            "false" => Shape::Flag(false),
            "number" => Shape::Number,
            "string" => Shape::Text,
            "non_empty_string" => Shape::NonEmptyText,
            DELTAS => Shape::Named(DELTAS.to_owned()),
            _ if self.0.contains_key(name) => Shape::Named(name.to_owned()),
            _ if is_rest_body(name) => Shape::AnyObject,
            _ => return Err(format!("`{name}` is no type")),
        })
    }

    /// `undefined` says again that a field is optional. A REST body of unknown form makes the whole
    /// union unknown: some of those names stand for strings.
    fn union(&self, members: &[Expr]) -> Outcome<Shape> {
        let mut shapes = Vec::new();
        for member in members {
            match self.lower(member) {
                _ if *member == Expr::Name("undefined".to_owned()) => {}
                Ok(Shape::AnyObject) => return Ok(Shape::Any),
                other => shapes.push(other?),
            }
        }
        Ok(Shape::any_of(shapes))
    }

    fn generic(&self, name: &str, arguments: &[Expr]) -> Outcome<Shape> {
        match (name, arguments) {
            ("map", [Expr::Name(key), value]) if key == "string" => {
                Ok(Shape::Map(Box::new(self.lower(value)?)))
            }
            ("Omit", [from, Expr::Literal(key)]) => {
                let mut fields = self.fields_of(from)?;
                fields.retain(|field| field.name != *key);
                Ok(if fields.is_empty() { Shape::AnyObject } else { Shape::Object(fields) })
            }
            _ => Err(format!("cannot read `{name}<…>`")),
        }
    }

    /// The fields that are known of an object type: none for a REST body.
    fn fields_of(&self, expr: &Expr) -> Outcome<Vec<Field>> {
        let shape = match self.lower(expr)? {
            Shape::Named(name) => self.define(&name)?,
            other => other,
        };
        match shape {
            Shape::Object(fields) => Ok(fields),
            Shape::AnyObject => Ok(Vec::new()),
            _ => Err(format!("{expr:?} is not an object")),
        }
    }
}

/// REST bodies are told from misspelt keywords by their capital.
fn is_rest_body(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_uppercase())
}

fn members(fields: &Fields) -> Outcome<Vec<Member>> {
    let known = fields.iter().filter(|(_, field)| field.observed_only.is_none());
    let member = |(name, field): (&String, &crate::catalog::Field)| {
        Ok(Member {
            name: name.clone(),
            optional: !field.required,
            value: parse(&field.expression)?,
            generations: field.generations.clone(),
        })
    };
    known.map(member).collect()
}

#[cfg(test)]
#[path = "lower_tests.rs"]
mod tests;
