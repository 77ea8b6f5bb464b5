const ROWS = Array.from({ length: 12 }, (_, index) => index)

/** Where the rows will be, as high as they will be. */
export const Skeleton = () => (
  <div class="skeleton" role="status" aria-label="Loading">
    {ROWS.map((row) => (
      <div key={row} class="bone" />
    ))}
  </div>
)
