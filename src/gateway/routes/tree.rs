//! A tree of patterns by their segments: the cost of a look-up depends on the path, not on the number of routes.

use std::{collections::HashMap, ops::ControlFlow};

use super::{
    params::Params,
    pattern::{Pattern, Segment},
};

/// Values by pattern: `E` where a pattern ends exactly, `B` where it ends in `/*`.
#[derive(Debug)]
pub(super) struct Tree<E, B> {
    /// The first is the root.
    nodes: Vec<Node<E, B>>,
}

#[derive(Debug)]
struct Node<E, B> {
    literals: HashMap<Box<str>, usize>,
    param: Option<usize>,
    exact: Option<E>,
    below: Option<B>,
}

/// The end of a pattern that matches.
pub(super) enum End<'a, E, B> {
    /// The whole path is used up.
    Exact(&'a E),
    /// The rest of the path begins here.
    Below(&'a B, usize),
}

// === impl Tree ===

impl<E, B> Tree<E, B> {
    /// The value where `segments` end exactly.
    pub(super) fn exact<'a>(&mut self, segments: impl Iterator<Item = &'a Segment>) -> &mut Option<E> {
        let node = self.node(segments);
        &mut self.nodes[node].exact
    }

    /// The value where `segments` are followed by `/*`.
    pub(super) fn below<'a>(&mut self, segments: impl Iterator<Item = &'a Segment>) -> &mut Option<B> {
        let node = self.node(segments);
        &mut self.nodes[node].below
    }

    fn node<'a>(&mut self, segments: impl Iterator<Item = &'a Segment>) -> usize {
        let mut at = 0;
        for segment in segments {
            let next = self.nodes.len();
            let node = &mut self.nodes[at];
            let child = match segment {
                Segment::Literal(text) => *node.literals.entry(text.as_str().into()).or_insert(next),
                Segment::Param(_) => *node.param.get_or_insert(next),
            };
            if child == next {
                self.nodes.push(Node::default());
            }
            at = child;
        }
        at
    }

    /// Visits the patterns that match `path`, the most specific first, until `visit` breaks. At each segment, a literal
    /// precedes a parameter, and a longer pattern precedes a `/*`. An empty path is that of the root without a slash.
    pub(super) fn walk<R>(
        &self,
        path: &str,
        mut visit: impl FnMut(End<'_, E, B>, &Params) -> ControlFlow<R>,
    ) -> Option<R> {
        self.descend(0, path, 0, &mut Params::default(), &mut visit)
            .break_value()
    }

    /// `from` is the end of the path, or the slash before the next segment.
    fn descend<R>(
        &self,
        node: usize,
        path: &str,
        from: usize,
        params: &mut Params,
        visit: &mut impl FnMut(End<'_, E, B>, &Params) -> ControlFlow<R>,
    ) -> ControlFlow<R> {
        let node = &self.nodes[node];
        if from == path.len() {
            if let Some(value) = &node.exact {
                visit(End::Exact(value), params)?;
            }
        } else {
            let begin = from + 1;
            let end = path[begin..].find('/').map_or(path.len(), |at| begin + at);
            if let Some(child) = node.literals.get(&path[begin..end]) {
                self.descend(*child, path, end, params, visit)?;
            }
            if let Some(child) = node.param
                && begin < end
            {
                params.push(begin, end);
                self.descend(child, path, end, params, visit)?;
                params.pop();
            }
        }
        if let Some(value) = &node.below {
            visit(End::Below(value, from), params)?;
        }
        ControlFlow::Continue(())
    }
}

impl<E, B> Default for Tree<E, B> {
    fn default() -> Self {
        Self {
            nodes: vec![Node::default()],
        }
    }
}

// === impl Node ===

impl<E, B> Default for Node<E, B> {
    fn default() -> Self {
        Self {
            literals: HashMap::new(),
            param: None,
            exact: None,
            below: None,
        }
    }
}

// === impl Pattern ===

impl Pattern {
    /// Adds a value of this pattern to a tree that has one for each kind of end.
    pub(super) fn slot<'a, T>(&self, tree: &'a mut Tree<T, T>) -> &'a mut Option<T> {
        if self.below {
            tree.below(self.segments.iter())
        } else {
            tree.exact(self.segments.iter())
        }
    }
}
