//! The values that are sent.

use crate::bench::values::embedding::Embedding;
use crate::bench::values::scores::Score;
use crate::bench::values::wide::Wide;

/// The length of each string in a list.
const TEXT: usize = 20;

pub fn bytes(length: u32) -> Vec<u8> {
    (0..length).map(|index| index as u8).collect()
}

pub fn floats(length: u32) -> Vec<f32> {
    (0..length).map(|index| index as f32).collect()
}

pub fn embedding(length: u32) -> Embedding {
    Embedding { id: 7, norm: 1.5, values: floats(length) }
}

pub fn scores(length: u32) -> Vec<Score> {
    (0..length).map(|id| Score { id, score: id as f32 }).collect()
}

pub fn texts(length: u32) -> Vec<String> {
    (0..length).map(|index| format!("{index:TEXT$}")).collect()
}

/// Returns a record whose strings have `length` characters.
pub fn wide(length: u32) -> Wide {
    let text = || "x".repeat(length as usize);
    macro_rules! wide {
        ($($id:ident $name:ident $score:ident $weight:ident $active:ident $count:ident $note:ident $rank:ident $code:ident
            $unit:ident;)*) => {
            Wide {$(
                $id: 7,
                $name: text(),
                $score: 0.5,
                $weight: 2.5,
                $active: true,
                $count: 1 << 40,
                $note: Some(text()),
                $rank: None,
                $code: -1,
                $unit: text(),
            )*}
        };
    }
    wide! {
        id0 name0 score0 weight0 active0 count0 note0 rank0 code0 unit0;
        id1 name1 score1 weight1 active1 count1 note1 rank1 code1 unit1;
        id2 name2 score2 weight2 active2 count2 note2 rank2 code2 unit2;
        id3 name3 score3 weight3 active3 count3 note3 rank3 code3 unit3;
        id4 name4 score4 weight4 active4 count4 note4 rank4 code4 unit4;
        id5 name5 score5 weight5 active5 count5 note5 rank5 code5 unit5;
        id6 name6 score6 weight6 active6 count6 note6 rank6 code6 unit6;
        id7 name7 score7 weight7 active7 count7 note7 rank7 code7 unit7;
        id8 name8 score8 weight8 active8 count8 note8 rank8 code8 unit8;
        id9 name9 score9 weight9 active9 count9 note9 rank9 code9 unit9;
    }
}
