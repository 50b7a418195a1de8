;; A command: wasi:cli/run returns err.
(component
  (core module $M (func (export "run") (result i32) (i32.const 1)))
  (core instance $m (instantiate $M))
  (func $run (result (result)) (canon lift (core func $m "run")))
  (instance $run (export "run" (func $run)))
  (export "wasi:cli/run@0.2.12" (instance $run))
)
