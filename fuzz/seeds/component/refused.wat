(component
  (import "wasi:io/poll@0.2.0" (instance $poll (export "pollable" (type (sub resource)))))
  (alias export $poll "pollable" (type $pollable))
  (type $numbers (stream u8))
  (type $later (future string))
  (core module $m (func (export "run") (param i32 i32 i32)))
  (core instance $i (instantiate $m))
  (func (export "run-remote") (param "p" (own $pollable)) (param "s" $numbers) (param "f" $later)
    (canon lift (core func $i "run"))))
