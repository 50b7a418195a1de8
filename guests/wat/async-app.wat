;; Waits for an async function in one that is not, which no component may:
;;
;;   interface test:flow/later@0.1.0 { fetch: async func(n: u32) -> u32; }
;;   world { import later; export run: func() -> u32 }
(component
  (import "test:flow/later@0.1.0" (instance $later
    (export "fetch" (func async (param "n" u32) (result u32)))))
  (core func $fetch (canon lower (func $later "fetch")))
  (core module $M
    (import "later" "fetch" (func $fetch (param i32) (result i32)))
    (func (export "run") (result i32) (call $fetch (i32.const 1))))
  (core instance $m (instantiate $M (with "later" (instance (export "fetch" (func $fetch))))))
  (func (export "run") (result u32) (canon lift (core func $m "run")))
)
