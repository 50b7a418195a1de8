;; Tells what it was given: `arguments: func() -> list<string>`, `variables: func() -> list<tuple<string, string>>`.
(component
  (import "wasi:cli/environment@0.2.12" (instance $env
    (export "get-arguments" (func (result (list string))))
    (export "get-environment" (func (result (list (tuple string string)))))))
  (core module $L
    (memory (export "memory") 1)
    (global $top (mut i32) (i32.const 1024))
    (func (export "realloc") (param $old i32) (param $old_n i32) (param $align i32) (param $n i32) (result i32)
      (local $p i32)
      (local.set $p (i32.and
        (i32.add (global.get $top) (i32.sub (local.get $align) (i32.const 1)))
        (i32.sub (i32.const 0) (local.get $align))))
      (global.set $top (i32.add (local.get $p) (local.get $n)))
      (local.get $p)))
  (core instance $l (instantiate $L))
  (core func $args (canon lower (func $env "get-arguments")
    (memory (core memory $l "memory")) (realloc (core func $l "realloc"))))
  (core func $vars (canon lower (func $env "get-environment")
    (memory (core memory $l "memory")) (realloc (core func $l "realloc"))))
  (core module $M
    (import "env" "args" (func $args (param i32)))
    (import "env" "vars" (func $vars (param i32)))
    (func (export "arguments") (result i32) (call $args (i32.const 16)) (i32.const 16))
    (func (export "variables") (result i32) (call $vars (i32.const 16)) (i32.const 16)))
  (core instance $m (instantiate $M
    (with "env" (instance (export "args" (func $args)) (export "vars" (func $vars))))))
  (func (export "arguments") (result (list string)) (canon lift (core func $m "arguments") (memory (core memory $l "memory"))))
  (func (export "variables") (result (list (tuple string string)))
    (canon lift (core func $m "variables") (memory (core memory $l "memory"))))
)
