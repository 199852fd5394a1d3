<?php
declare(strict_types=1);

require __DIR__ . '/page.php';

const CHUNKS = 8;
const PAUSE = 400_000; // microseconds

/** Send what there is so far. */
function send(): void
{
    while (ob_get_level() > 0) {
        ob_end_flush();
    }
    flush();
}

page_start('Stream', 'stream.php');
?>
<div class="hero">
  <h1>Piece by piece</h1>
  <p class="lead">PHP sends each line when it is made; the page is not complete before the last.</p>
</div>
<section class="card"><ol class="chunks">
<?php
$start = hrtime(true);
for ($number = 1; $number <= CHUNKS; $number++) {
    $elapsed = (hrtime(true) - $start) / 1e9;
    echo '<li><span>Chunk ', h($number), ' of ', h(CHUNKS), '</span> <time>', h(sprintf('%.2f s', $elapsed)), "</time></li>\n";
    send();
    if ($number < CHUNKS) {
        usleep(PAUSE);
    }
}
?>
</ol></section>
<p class="note">All <?= h(CHUNKS) ?> chunks were sent. <a href="stream.php">Once more</a></p>
<?php
page_end();
