//! Numbers in place of names, and tables that are looked up by them.
//!
//! An assignor goes over a million partitions and the members that could have each: by name it would compare strings for
//! most of its time. Members, topics and partitions are numbered in the order in which an assignor visits them, so that
//! comparing two numbers is comparing two places in that order.

use std::marker::PhantomData;
use std::ops::{Index, IndexMut};

/// A place in a table.
pub(super) trait Number: Copy {
    fn at(place: usize) -> Self;
    fn place(self) -> usize;
}

macro_rules! number {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub(super) struct $name(u32);

        impl Number for $name {
            fn at(place: usize) -> $name {
                $name(u32::try_from(place).expect("nothing is numbered beyond u32"))
            }

            fn place(self) -> usize {
                self.0 as usize
            }
        }
    };
}

number! {
    /// A member, by its place in the order in which the assignor visits members.
    MemberNo
}
number! {
    /// A topic that exists and that somebody subscribes to, by its place in the order of names.
    TopicNo
}
number! {
    /// A partition of such a topic, by its place in the order of topics and of their partitions.
    PartitionNo
}
number! {
    /// A rack.
    RackNo
}
number! {
    /// A set of racks that holds all replicas of some partition.
    RackSetNo
}

/// A value for each number from the first on.
#[derive(Debug, Clone)]
pub(super) struct Table<N, V> {
    values: Vec<V>,
    numbers: PhantomData<N>,
}

impl<N: Number, V> Table<N, V> {
    /// The same value `count` times.
    pub(super) fn of(value: V, count: usize) -> Table<N, V>
    where
        V: Clone,
    {
        vec![value; count].into()
    }

    pub(super) fn len(&self) -> usize {
        self.values.len()
    }

    /// Adds a value, and gives it the next number.
    pub(super) fn push(&mut self, value: V) -> N {
        let number = N::at(self.values.len());
        self.values.push(value);
        number
    }

    pub(super) fn numbers(&self) -> impl DoubleEndedIterator<Item = N> + use<N, V> {
        (0..self.values.len()).map(N::at)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (N, &V)> {
        self.values.iter().enumerate().map(|(place, value)| (N::at(place), value))
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &V> {
        self.values.iter()
    }

    pub(super) fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        self.values.iter_mut()
    }
}

impl<N, V> Default for Table<N, V> {
    fn default() -> Table<N, V> {
        Vec::new().into()
    }
}

impl<N, V> From<Vec<V>> for Table<N, V> {
    fn from(values: Vec<V>) -> Table<N, V> {
        Table { values, numbers: PhantomData }
    }
}

impl<N, V> FromIterator<V> for Table<N, V> {
    fn from_iter<I: IntoIterator<Item = V>>(values: I) -> Table<N, V> {
        values.into_iter().collect::<Vec<V>>().into()
    }
}

impl<N: Number, V> Index<N> for Table<N, V> {
    type Output = V;

    fn index(&self, number: N) -> &V {
        self.values.get(number.place()).expect("a number is given out for a place that is there")
    }
}

impl<N: Number, V> IndexMut<N> for Table<N, V> {
    fn index_mut(&mut self, number: N) -> &mut V {
        self.values.get_mut(number.place()).expect("a number is given out for a place that is there")
    }
}
