;; A command that ends itself with code 7.
(component
  (import "wasi:cli/exit@0.2.12" (instance $exit (export "exit-with-code" (func (param "status-code" u8)))))
  (core func $exit (canon lower (func $exit "exit-with-code")))
  (core module $M
    (import "exit" "with" (func $exit (param i32)))
    (func (export "run") (result i32) (call $exit (i32.const 7)) unreachable))
  (core instance $m (instantiate $M (with "exit" (instance (export "with" (func $exit))))))
  (func $run (result (result)) (canon lift (core func $m "run")))
  (instance $run (export "run" (func $run)))
  (export "wasi:cli/run@0.2.3" (instance $run))
)
