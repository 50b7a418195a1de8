;; Draws a random number: `run: func() -> u64`. To link it is a grant.
(component
  (import "wasi:random/random@0.2.12" (instance $random (export "get-random-u64" (func (result u64)))))
  (core func $draw (canon lower (func $random "get-random-u64")))
  (core module $M (import "random" "draw" (func $draw (result i64))) (func (export "run") (result i64) (call $draw)))
  (core instance $m (instantiate $M (with "random" (instance (export "draw" (func $draw))))))
  (func (export "run") (result u64) (canon lift (core func $m "run")))
)
