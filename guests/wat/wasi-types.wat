;; Imports a type of WASI's and no function, which needs no grant: `run: func() -> u32` is 7.
(component
  (import "wasi:clocks/wall-clock@0.2.12" (instance
    (type $datetime (record (field "seconds" u64) (field "nanoseconds" u32)))
    (export "datetime" (type (eq $datetime)))))
  (core module $M (func (export "run") (result i32) (i32.const 7)))
  (core instance $m (instantiate $M))
  (func (export "run") (result u32) (canon lift (core func $m "run")))
)
