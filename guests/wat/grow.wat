;; Takes memory until it gets no more, 64 KiB at a time, and writes to each page.
;;
;;   run: func() -> u32;      // then traps, as guests do whose allocation fails
;;   pages: func() -> u32;    // then returns how many pages it has
(component
  (core module $M
    (memory 1)
    (func $grow
      (local $at i32)
      (loop $more
        (local.set $at (memory.grow (i32.const 1)))
        (if (i32.ne (local.get $at) (i32.const -1)) (then
          (i32.store (i32.shl (local.get $at) (i32.const 16)) (i32.const -1))
          (br $more)))))
    (func (export "run") (result i32) (call $grow) unreachable)
    (func (export "pages") (result i32) (call $grow) (memory.size)))
  (core instance $m (instantiate $M))
  (func (export "run") (result u32) (canon lift (core func $m "run")))
  (func (export "pages") (result u32) (canon lift (core func $m "pages")))
)
