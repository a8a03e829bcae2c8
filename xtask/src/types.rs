//! Parses the TypeScript-like type expressions of the catalog.

use crate::Outcome;

/// A type expression as it is written. What names mean is decided by `lower`.
#[derive(Debug, Clone, PartialEq)]
pub enum Expr {
    /// `string`, `null`, `true`, `RuntimeScope`.
    Name(String),
    /// `"create_message"`.
    Literal(String),
    /// `A | B`.
    Union(Vec<Expr>),
    /// `A & B`.
    Intersection(Vec<Expr>),
    /// `A[]`.
    Array(Box<Expr>),
    /// `[A, B]`.
    Tuple(Vec<Expr>),
    /// `{ a: A; b?: B; }`.
    Object(Vec<Member>),
    /// `map<string, A>`, `Omit<A, "key">`.
    Generic(String, Vec<Expr>),
}

impl Expr {
    /// All names in it, also those that stand for no type of the catalog.
    pub fn names(&self) -> Vec<&str> {
        match self {
            Self::Name(name) => vec![name],
            Self::Literal(_) => Vec::new(),
            Self::Union(parts)
            | Self::Intersection(parts)
            | Self::Tuple(parts)
            | Self::Generic(_, parts) => parts.iter().flat_map(Self::names).collect(),
            Self::Array(item) => item.names(),
            Self::Object(members) => {
                members.iter().flat_map(|member| member.value.names()).collect()
            }
        }
    }
}

/// One member of an inline object.
#[derive(Debug, Clone, PartialEq)]
pub struct Member {
    pub name: String,
    pub optional: bool,
    pub value: Expr,
    /// The server generations that know it; all where it is empty.
    pub generations: Vec<String>,
}

/// Reads a whole type expression.
pub fn parse(text: &str) -> Outcome<Expr> {
    let mut parser = Parser { rest: text };
    let parsed = parser.union().and_then(|expr| match parser.peek() {
        None => Ok(expr),
        Some(other) => Err(format!("unexpected `{other}`")),
    });
    parsed.map_err(|why| format!("type `{text}`: {why} before `{}`", parser.rest))
}

struct Parser<'a> {
    rest: &'a str,
}

impl<'a> Parser<'a> {
    fn union(&mut self) -> Outcome<Expr> {
        self.operands('|', Self::intersection, Expr::Union)
    }

    fn intersection(&mut self) -> Outcome<Expr> {
        self.operands('&', Self::postfix, Expr::Intersection)
    }

    /// One operand stays itself; several become the list that `join` makes.
    fn operands(
        &mut self,
        operator: char,
        operand: fn(&mut Self) -> Outcome<Expr>,
        join: fn(Vec<Expr>) -> Expr,
    ) -> Outcome<Expr> {
        let first = operand(self)?;
        if self.peek() != Some(operator) {
            return Ok(first);
        }
        let mut all = vec![first];
        while self.take(operator) {
            all.push(operand(self)?);
        }
        Ok(join(all))
    }

    fn postfix(&mut self) -> Outcome<Expr> {
        let mut expr = self.primary()?;
        while self.take('[') {
            self.expect(']')?;
            expr = Expr::Array(Box::new(expr));
        }
        Ok(expr)
    }

    fn primary(&mut self) -> Outcome<Expr> {
        match self.peek() {
            Some('(') => {
                self.expect('(')?;
                let inner = self.union()?;
                self.expect(')')?;
                Ok(inner)
            }
            Some('[') => {
                self.expect('[')?;
                self.list(']').map(Expr::Tuple)
            }
            Some('{') => self.object(),
            Some('"') => self.literal().map(Expr::Literal),
            _ => {
                let name = self.word()?;
                if self.take('<') {
                    return Ok(Expr::Generic(name, self.list('>')?));
                }
                Ok(Expr::Name(name))
            }
        }
    }

    /// Expressions between commas, up to and including `close`.
    fn list(&mut self, close: char) -> Outcome<Vec<Expr>> {
        let mut all = vec![self.union()?];
        while self.take(',') {
            all.push(self.union()?);
        }
        self.expect(close)?;
        Ok(all)
    }

    fn object(&mut self) -> Outcome<Expr> {
        self.expect('{')?;
        let mut members = Vec::new();
        while !self.take('}') {
            let name = self.word()?;
            let optional = self.take('?');
            self.expect(':')?;
            let value = self.union()?;
            members.push(Member { name, optional, value, generations: Vec::new() });
            if !self.take(';') {
                self.expect('}')?;
                break;
            }
        }
        Ok(Expr::Object(members))
    }

    fn literal(&mut self) -> Outcome<String> {
        self.expect('"')?;
        let (text, rest) = self.rest.split_once('"').ok_or("unterminated string")?;
        self.rest = rest;
        Ok(text.to_owned())
    }

    fn word(&mut self) -> Outcome<String> {
        self.rest = self.rest.trim_start();
        let end = self
            .rest
            .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .unwrap_or(self.rest.len());
        let (word, rest): (&'a str, &'a str) = self.rest.split_at(end);
        if word.is_empty() {
            return Err("a name is missing".to_owned());
        }
        self.rest = rest;
        Ok(word.to_owned())
    }

    fn peek(&mut self) -> Option<char> {
        self.rest = self.rest.trim_start();
        self.rest.chars().next()
    }

    fn take(&mut self, symbol: char) -> bool {
        let found = self.peek() == Some(symbol);
        if found {
            self.rest = &self.rest[symbol.len_utf8()..];
        }
        found
    }

    fn expect(&mut self, symbol: char) -> Outcome<()> {
        if self.take(symbol) { Ok(()) } else { Err(format!("`{symbol}` is missing")) }
    }
}

#[cfg(test)]
mod tests {
    use super::{Expr, Member, parse};

    fn name(text: &str) -> Expr {
        Expr::Name(text.to_owned())
    }

    #[test]
    fn an_array_binds_tighter_than_an_intersection_and_that_tighter_than_a_union() {
        let both = Expr::Intersection(vec![name("B"), Expr::Array(Box::new(name("C")))]);
        assert_eq!(parse("A | B & C[]"), Ok(Expr::Union(vec![name("A"), both])));
    }

    #[test]
    fn parentheses_group() {
        let union = Expr::Union(vec![name("A"), Expr::Literal("b c".to_owned())]);
        assert_eq!(parse("(A | \"b c\")[]"), Ok(Expr::Array(Box::new(union))));
    }

    #[test]
    fn objects_may_end_with_or_without_a_semicolon() {
        let members = ["a", "b"].map(|text| Member {
            name: text.to_owned(),
            optional: text == "b",
            value: name("string"),
            generations: Vec::new(),
        });
        let object = Ok(Expr::Object(members.to_vec()));
        assert_eq!(parse("{ a: string; b?: string; }"), object);
        assert_eq!(parse("{ a: string; b?: string }"), object);
    }

    #[test]
    fn tuples_and_generics_hold_lists() {
        let pair = Expr::Tuple(vec![name("string"), name("number")]);
        assert_eq!(parse("[string, number][]"), Ok(Expr::Array(Box::new(pair))));
        let arguments = vec![name("A"), Expr::Literal("id".to_owned())];
        assert_eq!(parse("Omit<A, \"id\">"), Ok(Expr::Generic("Omit".to_owned(), arguments)));
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        for bad in ["", "A |", "(A", "{ a }", "\"open", "A B", "map<string, string"] {
            let message = parse(bad).expect_err(bad);
            assert!(message.starts_with(&format!("type `{bad}`")), "{message}");
        }
    }
}
