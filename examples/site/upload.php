<?php
declare(strict_types=1);

require __DIR__ . '/page.php';

const PREVIEW_LIMIT = 2 * 1024 * 1024;
const PREVIEW_TYPES = ['image/png', 'image/jpeg', 'image/gif', 'image/webp'];

/** Why PHP did not take a file. */
function reason(int $error): string
{
    return match ($error) {
        UPLOAD_ERR_INI_SIZE => 'It is larger than upload_max_filesize, ' . ini_get('upload_max_filesize') . '.',
        UPLOAD_ERR_PARTIAL => 'It did not arrive completely.',
        UPLOAD_ERR_NO_FILE => 'No file was chosen.',
        default => "PHP could not store it (error $error).",
    };
}

/** The file as a data: URI if it is a small image; what it is, its content says, not its name. */
function preview(string $file, int $size): ?string
{
    if ($size > PREVIEW_LIMIT) {
        return null;
    }
    $type = @getimagesize($file)['mime'] ?? '';
    return in_array($type, PREVIEW_TYPES, true)
        ? "data:$type;base64," . base64_encode((string) file_get_contents($file))
        : null;
}

$file = $_FILES['file'] ?? null;
$posted = ($_SERVER['REQUEST_METHOD'] ?? '') === 'POST';

page_start('Upload', 'upload.php');
?>
<div class="hero">
  <h1>Upload a file</h1>
  <p class="lead">It is looked at and forgotten: PHP removes it when this page is done.</p>
</div>

<?php if (is_array($file) && $file['error'] === UPLOAD_ERR_OK): ?>
<section class="card">
  <header><h2>Arrived</h2></header>
  <table><tbody>
    <tr><th scope="row">Name</th><td class="wrap"><?= h($file['name']) ?></td></tr>
    <tr><th scope="row">Type, says the browser</th><td class="wrap"><?= h($file['type']) ?></td></tr>
    <tr><th scope="row">Size</th><td class="wrap"><?= h(bytes($file['size'])) ?> (<?= h($file['size']) ?> bytes)</td></tr>
    <tr><th scope="row">SHA-256</th><td class="wrap"><?= h((string) hash_file('sha256', $file['tmp_name'])) ?></td></tr>
  </tbody></table>
<?php if (($image = preview($file['tmp_name'], $file['size'])) !== null): ?>
  <img class="preview" alt="The uploaded image" src="<?= h($image) ?>">
<?php endif ?>
</section>
<?php elseif ($posted): ?>
<section class="card">
  <header><h2>Nothing arrived</h2></header>
  <p class="note"><?= h(is_array($file) ? reason($file['error']) : 'The request is larger than post_max_size, ' . ini_get('post_max_size') . '.') ?></p>
</section>
<?php endif ?>

<section class="card">
  <form method="post" enctype="multipart/form-data">
    <label>File <input type="file" name="file" required></label>
    <p class="note">Up to <?= h((string) ini_get('upload_max_filesize')) ?> (upload_max_filesize).</p>
    <div class="actions"><button>Upload</button></div>
  </form>
</section>
<?php
page_end();
