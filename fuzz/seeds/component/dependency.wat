(component
  (import "tests:numbers/number@1.0.0" (instance $number (export "run-remote" (func (param "x" u32) (result u32)))))
  (import "other" (instance $other (export "run-remote" (func async (result string)))))
  (import "wasi:cli/environment@0.2.6" (instance (export "get-arguments" (func (result (list string))))))
  (core func $ask (canon lower (func $number "run-remote")))
  (core module $m
    (import "numbers" "ask" (func $ask (param i32) (result i32)))
    (func (export "run") (param i32) (result i32) (call $ask (local.get 0))))
  (core instance $i (instantiate $m (with "numbers" (instance (export "ask" (func $ask))))))
  (func $run (param "x" u32) (result u32) (canon lift (core func $i "run")))
  (instance $served (export "run-remote" (func $run)))
  (export "tests:served/api" (instance $served)))
